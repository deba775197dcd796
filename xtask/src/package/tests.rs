//! Each package, taken as its users take it: in a fresh place, its events arrive at a collector. `cargo xtask test` makes
//! the packages before it runs these.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use vms_collector::Collector;
use vms_collector::tls::{Authority, Leaf};
use vms_demo::{AccessToken, Config, DemoVms, User};

use super::{LIBRARY, MODULE, archive, consumer, sum, version};
use crate::build::library_name;
#[cfg(target_os = "linux")]
use crate::needs::{browser, has_c_tools};
use crate::powershell;
use crate::tools::{isolate, listen, output, root, runtime_identifier};
use crate::windows;

const KEY: &str = "11111111-2222-4333-8444-555555555555";
/// What a session with a connection reports.
const EVENTS: [&str; 3] = ["NewSession", "NewVmsSession", "CloseVmsSession"];

fn dist() -> PathBuf {
    let dist = root().join("dist");
    assert!(dist.join("SHA256SUMS").exists(), "the packages are not made yet: run `cargo xtask test`");
    dist
}

/// Reads a zip file or a nupkg of `dist`.
fn zipped(name: &str) -> archive::Files {
    let content = fs::read(dist().join(name)).unwrap();
    let mut zip = zip::ZipArchive::new(Cursor::new(content)).unwrap();
    let mut files = archive::Files::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut content).unwrap();
        files.insert(file.name().unwrap().into_owned(), content);
    }
    files
}

/// Reads a tar.gz file of `dist`.
fn tarred(name: &str) -> archive::Files {
    let file = flate2::read::GzDecoder::new(fs::File::open(dist().join(name)).unwrap());
    let mut files = archive::Files::new();
    for entry in tar::Archive::new(file).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        files.insert(entry.path().unwrap().to_string_lossy().into_owned(), content);
    }
    files
}

fn kit(rid: &str) -> String {
    format!("vms-telemetry-c-{}-{rid}", version())
}

/// The systems that this computer can pack for; in CI both are owed.
fn packs_windows() -> bool {
    windows::can_build()
}

/// A fresh user with a fresh folder, and an endpoint of its own.
struct Place {
    folder: TempDir,
    collector: Collector,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), collector: Collector::start().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn connection_string(&self) -> String {
        self.collector.connection_string(KEY)
    }

    /// Makes a program one of this user.
    fn own<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        isolate(command, &self.path().join("home"));
        command.env("VMS_ApplicationInsights__ConnectionString", self.connection_string())
    }

    /// Runs a program of this user to its end.
    fn run(&self, command: &mut Command) -> String {
        finish(self.own(command))
    }

    /// Runs a Windows program of this user to its end.
    fn run_on_windows(&self, program: &Path) {
        let variables = [("VMS_ApplicationInsights__ConnectionString", self.connection_string())];
        // Wine sets the folders of a profile itself, before its first program.
        let data = self.path().join("home/XDG_DATA_HOME");
        let commands = format!("set LOCALAPPDATA={}&& {}", windows::path(&data), windows::path(program));
        let shell = Path::new(r"C:\windows\system32\cmd.exe");
        let (success, printed) = listen(&mut windows::program(shell, &["/c", &commands], &variables)).unwrap();
        assert!(success, "{printed}");
    }

    /// Gives the names of the events that programs left, once the module has sent them: a program may end before.
    fn events(&self) -> Vec<String> {
        let script = format!(
            "Import-Module '{}'; while ((Get-VmsModuleConfig).PendingEvents) {{ [Threading.Thread]::Sleep(20) }}",
            dist().join("module").join(MODULE).display()
        );
        self.run(powershell::command().unwrap().args(["-Command", &script]));
        let received = self.collector.wait_for_accepted(Some(KEY), EVENTS.len() + 1, Duration::from_secs(60));
        let data = |name: &str, item: &vms_collector::Received| item.envelope["data"]["baseData"][name].clone();
        let session = data("properties", &received[0])["SessionId"].clone();
        let own = received.iter().filter(|item| data("properties", item)["SessionId"] == session);
        // What was under way when a program ended comes twice.
        let mut names: Vec<String> = own.map(|item| data("name", item).as_str().unwrap().to_owned()).collect();
        names.dedup();
        names
    }
}

/// Says on the runner's own output that this test cannot run here; in CI it must.
fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "{reason}");
    let line = format!("SKIPPED {}: {reason}\n", std::thread::current().name().unwrap_or_default());
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// Runs a program to its end, which must be a good one, and gives what it printed.
fn finish(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{complaints}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stdout).unwrap()
}

/// Gives the code blocks of a page that are in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).filter_map(|part| Some(part.split("```").next()?.to_owned())).collect()
}

#[test]
fn p1_each_package_has_what_its_users_need_and_nothing_else() {
    let library_here = format!("{}/{}", runtime_identifier(), library_name());
    let module = |prefix: &str| {
        let mut names = vec![
            "CHANGELOG.md",
            "LICENSE.txt",
            "THIRD-PARTY-LICENSES.txt",
            "Vms.Telemetry.PowerShell.dll",
            "VmsTelemetry.format.ps1xml",
            "VmsTelemetry.psd1",
            "en-US/Vms.Telemetry.PowerShell.dll-Help.xml",
            "en-US/about_VmsTelemetry.help.txt",
            &library_here,
            "policy/MilestonePSTools.admx",
            "policy/en-US/MilestonePSTools.adml",
            "sbom.cdx.json",
        ];
        if packs_windows() && !cfg!(windows) {
            names.push("win-x64/vms_telemetry.dll");
        }
        names.iter().map(|name| format!("{prefix}{name}")).collect::<BTreeSet<_>>()
    };
    let names = |files: &archive::Files| files.keys().cloned().collect::<BTreeSet<_>>();
    // Among the parts that NuGet adds, one is named by a checksum.
    let plain = |files: archive::Files| {
        let own = ["_rels/.rels", "[Content_Types].xml"];
        let is_own = |name: &String| !own.contains(&name.as_str()) && !name.starts_with("package/services/metadata/");
        names(&files).into_iter().filter(is_own).collect::<BTreeSet<_>>()
    };
    let with = |mut names: BTreeSet<String>, more: &[&str]| {
        names.extend(more.iter().map(|name| (*name).to_owned()));
        names
    };
    let zip = zipped(&format!("{MODULE}-{}.zip", version()));
    assert_eq!(names(&zip), module(&format!("{MODULE}/{}/", version())));
    let gallery = zipped(&format!("{MODULE}.{}.nupkg", version()));
    // The gallery's search knows commands by tags.
    let manifest = fs::read_to_string(root().join("powershell/module/VmsTelemetry.psd1")).unwrap();
    let exported = manifest.split("CmdletsToExport").nth(1).unwrap().split(['(', ')']).nth(1).unwrap();
    let mut tags: Vec<String> =
        ["PSModule", "PSEdition_Desktop", "PSEdition_Core", "PSIncludes_Cmdlet"].map(str::to_owned).to_vec();
    for command in exported.split('\'').skip(1).step_by(2) {
        tags.extend([format!("PSCmdlet_{command}"), format!("PSCommand_{command}")]);
    }
    let nuspec = String::from_utf8_lossy(&gallery["VmsTelemetry.nuspec"]).into_owned();
    let given = nuspec.split("<tags>").nth(1).unwrap().split('<').next().unwrap();
    assert!(given.starts_with(&tags.join(" ")), "{given}");
    assert_eq!(plain(gallery), with(module(""), &["VmsTelemetry.nuspec"]));
    let library = plain(zipped(&format!("{LIBRARY}.{}.nupkg", version())));
    let native_here = format!("runtimes/{}/native/{}", runtime_identifier(), library_name());
    let mut expected = vec![
        "LICENSE.txt",
        "README.md",
        "THIRD-PARTY-LICENSES.txt",
        "Vms.Telemetry.nuspec",
        "build/net461/Vms.Telemetry.targets",
        "buildTransitive/net461/Vms.Telemetry.targets",
        "lib/netstandard2.0/Vms.Telemetry.dll",
        "lib/netstandard2.0/Vms.Telemetry.xml",
        &native_here,
        "sbom.cdx.json",
    ];
    if packs_windows() && !cfg!(windows) {
        expected.push("runtimes/win-x64/native/vms_telemetry.dll");
    }
    assert_eq!(library, with(BTreeSet::new(), &expected));
    // The module is the same in each form.
    for (name, content) in archive::read(&dist().join("module")).unwrap() {
        assert!(zip[&name] == content, "{name}");
    }
}

/// The Group Policy template sets the value that the library reads, and has a text for each of its references.
#[test]
fn c13_the_policy_template_is_for_the_value_that_the_library_reads() {
    let read = |name: &str| fs::read_to_string(root().join("powershell/module/policy").join(name)).unwrap();
    let (template, texts) = (read("MilestonePSTools.admx"), read("en-US/MilestonePSTools.adml"));
    let library = fs::read_to_string(root().join("src/platform/windows.rs")).unwrap();
    let attribute = |name: &str| template.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap();
    let (key, value) = (attribute("key"), attribute("valueName"));
    assert!(library.contains(&format!("HKLM\\{key}, {value}")) && library.contains(&format!("open(r\"{key}\")")));
    for (element, number) in [("enabledValue", 1), ("disabledValue", 0)] {
        let part = template.split(&format!("<{element}>")).nth(1).unwrap();
        assert!(part.trim_start().starts_with(&format!("<decimal value=\"{number}\" />")), "{element}");
    }
    let references: Vec<&str> =
        template.split("$(string.").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(references.len() >= 5);
    for reference in references {
        assert!(texts.contains(&format!("<string id=\"{reference}\">")), "{reference}");
    }
}

#[test]
fn every_file_has_its_checksum_and_none_names_a_folder_of_the_computer_that_made_it() {
    let sums = fs::read_to_string(dist().join("SHA256SUMS")).unwrap();
    let mut files = archive::read(&dist()).unwrap();
    files.remove("SHA256SUMS");
    assert_eq!(sums, files.iter().map(|(name, content)| sum(name, content)).collect::<String>());

    let home = std::env::var("HOME").or_else(|_| std::env::var("USERPROFILE")).unwrap();
    let folders = [root().display().to_string(), home];
    let archives = files.keys().filter(|name| name.ends_with(".zip") || name.ends_with(".nupkg"));
    let packed = archives.flat_map(|name| zipped(name)).collect::<Vec<_>>();
    for (name, content) in files.iter().chain(packed.iter().map(|(name, content)| (name, content))) {
        for folder in &folders {
            let is_there = content.windows(folder.len()).any(|window| window == folder.as_bytes());
            assert!(!is_there, "{name} names {folder}");
        }
    }
}

/// A library that is built on a newer system needs a newer one.
#[cfg(target_os = "linux")]
#[test]
fn the_pages_name_the_oldest_glibc() {
    if std::env::var_os("CI").is_none() {
        return skip("the pages are for the libraries that are released, which CI builds");
    }
    let name = format!("runtimes/{}/native/{}", runtime_identifier(), library_name());
    let library = zipped(&format!("{LIBRARY}.{}.nupkg", version())).remove(&name).unwrap();
    let mark = b"GLIBC_2.";
    let places = library.windows(mark.len()).enumerate().filter(|(_, window)| window == mark).map(|(place, _)| place);
    let number = |place: usize| {
        let digits = library[place + mark.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'))
    };
    let needed = format!("glibc 2.{} or later", places.map(number).max().unwrap());
    for page in ["docs/installing.md", "packaging/nuget/README.md", "packaging/c/README.md"] {
        assert!(fs::read_to_string(root().join(page)).unwrap().contains(&needed), "{page}: {needed}");
    }
}

#[test]
fn the_list_of_parts_names_each_part_with_its_licence() {
    let list: Value = serde_json::from_slice(&fs::read(dist().join("sbom.cdx.json")).unwrap()).unwrap();
    let licences = fs::read_to_string(dist().join("THIRD-PARTY-LICENSES.txt")).unwrap();
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let components = list["components"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for needed in ["ureq", "uuid", "serde_json", "rust-std"] {
        assert!(components.iter().any(|component| component["name"] == needed), "{needed}");
    }
    assert!(!licences.contains("<copyright holders>"), "a form is no licence");
    for component in components {
        let (name, version) = (text(&component["name"]), text(&component["version"]));
        let licence = text(&component["licenses"][0]["expression"]);
        assert!(licences.contains(&format!("  {name} {version}: {licence} (")), "{name}");
        // The text itself stands below a line that names the part.
        let heads = licences.lines().filter(|line| !line.starts_with(' '));
        assert!(
            heads.into_iter().any(|line| line.split(", ").any(|part| part == format!("{name} {version}"))),
            "{name}"
        );
        if let Some(checksum) = component["hashes"][0]["content"].as_str() {
            assert!(lock.contains(checksum), "{name}");
        }
    }
    let known: BTreeSet<String> = components.iter().map(|component| text(&component["bom-ref"])).collect();
    assert_eq!(known.len(), components.len());
    for dependency in list["dependencies"].as_array().unwrap() {
        for needed in dependency["dependsOn"].as_array().unwrap() {
            assert!(known.contains(&text(needed)), "{needed}");
        }
    }
}

/// What somebody has who writes for .NET Framework.
const FRAMEWORK_PROJECT: &str = r#"<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net472</TargetFramework>
    <PlatformTarget>x64</PlatformTarget>
  </PropertyGroup>
</Project>
"#;

/// A new console program, made with the commands and the code of the pages; then the same, published for Windows; and a
/// project for .NET Framework.
#[test]
fn a4_a_new_dotnet_program_takes_the_library_from_a_feed() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("Program");
    let prepare = |command: &mut Command| {
        let consumer = consumer(&folder.path().join("unpacked")).unwrap();
        command.envs(consumer.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("DIST", dist());
        // The feed is the one that the page adds, for a user who has no other.
        let home = folder.path().join("home");
        command.env_remove("RestoreAdditionalProjectSources").env("HOME", &home).env("APPDATA", &home);
        output(command).unwrap();
    };
    fs::create_dir(folder.path().join("home")).unwrap();
    let dotnet = |arguments: &[&str]| prepare(Command::new("dotnet").current_dir(&project).args(arguments));
    let commands = blocks(&fs::read_to_string(root().join("docs/installing.md")).unwrap(), "sh");
    if cfg!(unix) {
        prepare(Command::new("sh").current_dir(root()).args(["-euc", &commands[0]]));
    }
    let (mut place, feed) = (folder.path().to_owned(), dist().display().to_string());
    for line in commands[1].lines() {
        let mut words = line.split(' ').map(|word| if word == "\"$DIST\"" { &feed } else { word });
        match words.next().unwrap() {
            "cd" => place.push(words.next().unwrap()),
            program => prepare(Command::new(program).current_dir(&place).args(words)),
        }
    }
    for page in ["packaging/nuget/README.md", "README.md"] {
        let code = blocks(&fs::read_to_string(root().join(page)).unwrap(), "csharp");
        assert_eq!(code.len(), 1, "{page}");
        fs::write(project.join("Program.cs"), &code[0]).unwrap();
        dotnet(&["build", "--output", "here"]);
        let place = Place::new();
        assert_eq!(place.run(&mut Command::new(project.join("here/Program"))), "");
        assert_eq!(place.events(), EVENTS, "{page}");
    }
    let on_framework = folder.path().join("OnFramework");
    fs::create_dir(&on_framework).unwrap();
    fs::write(on_framework.join("OnFramework.csproj"), FRAMEWORK_PROJECT).unwrap();
    let code = "class P { static void Main() => System.Console.WriteLine(typeof(Vms.Telemetry.TelemetrySession)); }";
    fs::write(on_framework.join("Program.cs"), code).unwrap();
    for arguments in [&["add", "package", "Vms.Telemetry"][..], &["build", "--output", "here"]] {
        prepare(Command::new("dotnet").current_dir(&on_framework).args(arguments));
    }
    for needed in ["OnFramework.exe", "Vms.Telemetry.dll", windows::LIBRARY] {
        let is_there = archive::read(&on_framework.join("here")).unwrap().keys().any(|name| name.ends_with(needed));
        assert!(is_there || (needed == windows::LIBRARY && !packs_windows()), "{needed}");
    }
    if packs_windows() && windows::can_run() {
        let rid = windows::RUNTIME_IDENTIFIER;
        dotnet(&["publish", "--runtime", rid, "--self-contained", "--output", "for-windows"]);
        let place = Place::new();
        place.run_on_windows(&project.join("for-windows/Program.exe"));
        assert_eq!(place.events(), EVENTS);
    }
}

/// The commands of the pages in PowerShell itself, one after the other, by a user who has nothing yet.
#[test]
fn p1_p3_the_pages_of_the_module_say_what_works() {
    let user = User::basic("reader", "not-a-secret");
    let vms = DemoVms::start(Config { users: vec![user], ..Config::default() }).unwrap();
    let settle = "while ((Get-VmsModuleConfig).PendingEvents) { Start-Sleep -Milliseconds 20 }";
    let counted = "while ((Get-VmsConnection).IsCounting) { Start-Sleep -Milliseconds 20 }";
    let page = |name: &str| blocks(&fs::read_to_string(root().join(name)).unwrap(), "powershell");
    let run = |place: &Place, script: &str| {
        let script = format!("$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'\n{script}");
        let mut command = powershell::command().unwrap();
        fs::create_dir_all(place.path().join("home/HOME")).unwrap();
        command.current_dir(root()).args(["-Command", &script]);
        // Modules are installed below the home folder, and looked for there as long as no variable says otherwise.
        finish(place.own(&mut command).env_remove("PSModulePath").env_remove("XDG_DATA_HOME"))
    };

    // Where somebody would type a password, and have a VMS.
    let reader = "([pscredential]::new('reader', (ConvertTo-SecureString not-a-secret -AsPlainText -Force)))";
    let readme =
        page("README.md").concat().replace("https://vms.example", &vms.url()).replace("(Get-Credential)", reader);
    let readme = readme.replace("Disconnect-Vms", &format!("{counted}\nDisconnect-Vms"));
    let place = Place::new();
    let printed = run(&place, &format!("{readme}\n{settle}"));
    assert!(printed.contains("DEMO-VMS") && printed.contains("about_VmsTelemetry"), "{printed}");
    assert_eq!(place.events(), EVENTS);

    // What is imported in one block is there in the next; each way to install begins with nothing.
    let installing = page("docs/installing.md");
    let [gallery, zip, removal, clearing, cleaning] = installing.as_slice() else { panic!("{installing:?}") };
    let place = Place::new();
    let opt_out = "Set-VmsModuleConfig -EnableTelemetry $false";
    let shown = "\"$((Get-Module VmsTelemetry).ModuleBase)\"";
    let kept = "\"kept $(@(Get-VmsTelemetryEvent).Count), $((Get-VmsModuleConfig).UserId)\"";
    let printed = run(&place, &format!("{gallery}\n{shown}\n{settle}\n{clearing}\n{kept}\n{opt_out}"));
    assert!(printed.contains("kept 0, 00000000-0000-0000-0000-000000000000"), "{printed}");
    let home = place.path().join("home").display().to_string();
    assert!(printed.lines().any(|line| line.starts_with(&home) && line.ends_with(version())), "{printed}");
    let printed = run(&place, &format!("{removal}\n{cleaning}\nGet-ChildItem $data -Name"));
    assert_eq!(printed.trim(), "appsettings.user.json");
    assert_eq!(place.collector.received().len(), 1);
    let printed =
        run(&place, "Import-Module VmsTelemetry -ErrorAction SilentlyContinue; \"<$(Get-Module VmsTelemetry)>\"");
    assert_eq!(printed.trim(), "<>");
    let printed = run(&place, &format!("{zip}\n{shown}\n(Get-VmsModuleConfig).EnableTelemetry"));
    assert!(printed.contains(&home) && printed.trim_end().ends_with("False"), "{printed}");
    assert_eq!(place.collector.received().len(), 1);
}

/// The examples of the help as they stand there, against a VMS whose certificate this user's system trusts. Where they log on
/// as the user who runs PowerShell, nobody knows that one.
#[cfg(target_os = "linux")]
#[test]
fn p2_p3_the_examples_of_the_help_work() {
    let place = Place::new();
    let authority = Authority::new().unwrap();
    let trusted = place.path().join("authority.pem");
    fs::write(&trusted, authority.pem()).unwrap();
    let users = vec![User::basic("reader", "not-a-secret"), User::windows("EXAMPLE", "operator", "not-a-secret")];
    let access_tokens = vec![AccessToken { token: "a-token".to_owned(), user: "reader".to_owned(), seconds: None }];
    let config = Config { users, access_tokens, ..Config::default() };
    let vms = DemoVms::start_tls(config, authority.server(Leaf::Good).unwrap()).unwrap();
    let address = vms.url().replace("127.0.0.1", "localhost");
    let script = EXAMPLES
        .replace("{address}", &address)
        .replace("{module}", &dist().join("module").join(MODULE).display().to_string());
    let mut command = powershell::command().unwrap();
    let folder = place.path().join("examples");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("servers.csv"), format!("ServerAddress\n{address}\n{address}\n")).unwrap();
    command.args(["-Command", &script]).env("SSL_CERT_FILE", trusted).current_dir(folder);
    let printed = place.run(&mut command);
    // What -WhatIf says comes between.
    let lines: Vec<&str> = printed.lines().filter(|line| !line.starts_with("What if: ")).collect();
    assert_eq!(lines.len(), 29, "{printed}");
    for line in lines {
        match line.split_once(": ") {
            None => {}
            Some(("Connect-Vms 1" | "Connect-Vms 5", id)) => assert!(id.starts_with("VmsLogonRefused,"), "{printed}"),
            // As where .NET has no NTLM.
            Some(("Connect-Vms 2", id)) if !Path::new("/etc/gss/mech.d/mech.ntlmssp.conf").exists() => {
                assert!(id.starts_with("VmsLogonRefused,"), "{printed}");
            }
            Some(_) => panic!("{printed}"),
        }
    }
}

/// Runs all examples; a line each, with the error's id where there was one.
#[cfg(target_os = "linux")]
const EXAMPLES: &str = r#"
$ErrorActionPreference = 'Stop'
$WarningPreference = 'SilentlyContinue'
function Get-Credential($Name) {
    [pscredential]::new($Name, (ConvertTo-SecureString not-a-secret -AsPlainText -Force))
}
$token = ConvertTo-SecureString a-token -AsPlainText -Force
# No other computer is asked.
function Invoke-Command($ComputerName, $ScriptBlock) { & $ScriptBlock }
Import-Module {module}
foreach ($command in (Get-Command -Module VmsTelemetry).Name | Sort-Object) {
    $number = 0
    foreach ($example in (Get-Help $command -Full).examples.example) {
        $line = "$command $((++$number))"
        $code = $example.code -replace '(https://)?vms\.example', '{address}'
        try { $null = . ([scriptblock]::Create($code)) } catch { $line += ": $($_.FullyQualifiedErrorId) $_" }
        $line
    }
}
"#;

/// The report of a session with 300 events, in a real browser: light and dark, printed, and on a phone.
#[cfg(target_os = "linux")]
#[test]
fn t3_the_report_can_be_read_in_a_browser_and_holds_no_secret() {
    let Some(browser) = browser() else {
        return skip("Chromium is missing");
    };
    let place = Place::new();
    let vms =
        DemoVms::start(Config { users: vec![User::basic("reader", "not-a-secret")], ..Config::default() }).unwrap();
    let module = dist().join("module").join(MODULE).display().to_string();
    let script = REPORTS.replace("{module}", &module).replace("{address}", &vms.url());
    let printed = place.run(powershell::command().unwrap().args(["-Command", &script]).current_dir(place.path()));
    let (site, rest) = printed.split_once('\n').unwrap();
    assert_eq!(rest.trim(), "303 accepted");
    let report = fs::read_to_string(place.path().join("report.html")).unwrap();
    assert!(report.len() < 500_000, "{}", report.len());
    for secret in [site.trim(), "reader", "not-a-secret", vms.url().trim_end_matches('/'), "<script", "src=", "href="] {
        assert!(!report.contains(secret), "{secret}");
    }
    for words in [
        "Yes: it is on by default",
        "the administrator of this computer, by a policy",
        "NewVmsSession",
        "enabled cameras",
        "Set-VmsModuleConfig -EnableTelemetry $false",
        "Clear-VmsTelemetryData -All",
        "accepted with HTTP 200",
        "Nothing waits.",
    ] {
        assert!(report.contains(words), "{words}");
    }
    let page = place.path().join("looked-at.html");
    fs::write(&page, report.replace("</body>", &format!("<script>{LOOK}</script></body>"))).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(browser);
        isolate(&mut command, &place.path().join("browser"));
        command.args(["--headless", "--no-sandbox", "--disable-gpu"]).args(arguments).arg(&page);
        finish(&mut command)
    };
    // Blink's numbers for dark and light.
    for (colors, size, is_dark) in
        [(1, "1000,900", false), (0, "1000,900", true), (1, "390,800", false), (0, "390,800", true)]
    {
        let scheme = format!("--blink-settings=preferredColorScheme={colors}");
        let shown = run(&[&scheme, &format!("--window-size={size}"), "--dump-dom"]);
        let seen = shown.split("<pre id=\"seen\">").nth(1).and_then(|rest| rest.split("</pre>").next()).unwrap();
        let seen: Value = serde_json::from_str(seen).unwrap();
        assert_eq!((&seen["wide"], &seen["dark"]), (&false.into(), &is_dark.into()), "{size}: {seen}");
        // What WCAG asks of text.
        assert!(seen["contrast"].as_f64().unwrap() >= 4.5, "{size}: {seen}");
    }
    let printed = place.path().join("report.pdf");
    run(&[&format!("--print-to-pdf={}", printed.display())]);
    assert!(fs::read(printed).unwrap().starts_with(b"%PDF-"));
}

/// Makes a session, a hundred more receipts like its own, and the report. Prints the actual id of the site.
#[cfg(target_os = "linux")]
const REPORTS: &str = r#"
$ErrorActionPreference = 'Stop'
Import-Module {module}
$reader = [pscredential]::new('reader', (ConvertTo-SecureString not-a-secret -AsPlainText -Force))
$connection = Connect-Vms {address} $reader -BasicUser
while ((Get-VmsConnection).IsCounting) { Start-Sleep -Milliseconds 20 }
Disconnect-Vms
while (@(Get-VmsTelemetryEvent -State Sent).Count -lt 3) { Start-Sleep -Milliseconds 20 }
$sent = Join-Path (Get-VmsModuleConfig).DataFolder sent
$events = Get-VmsTelemetryEvent -Raw
$head = [IO.File]::ReadAllLines((Get-ChildItem $sent)[0].FullName)[0] -replace '"items":.*', '"items":["accepted","accepted","accepted"]}'
$text = "$head`n$($events -join "`n")"
foreach ($number in 1..100) {
    $name = '{0:d18}-{1:x32}-{2}.v1.json' -f (1000000 + $number), $number, [Text.Encoding]::UTF8.GetByteCount($text)
    [IO.File]::WriteAllText((Join-Path $sent $name), $text)
}
$null = Export-VmsTelemetryReport report.html
"$($connection.Id)"
"$(@(Get-VmsTelemetryEvent).Count) accepted"
"#;

/// Looks at the page from within: whether it is wider than the window, dark, and the least contrast of a text.
#[cfg(target_os = "linux")]
const LOOK: &str = r#"
const light = color => {
  const [r, g, b] = color.match(/[\d.]+/g).slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
document.querySelectorAll('details').forEach(one => one.open = true);
const back = light(getComputedStyle(document.body).backgroundColor);
let least = 21;
for (const one of document.body.querySelectorAll('*')) {
  if (one.tagName == 'SCRIPT' || !one.innerText) continue;
  const [low, high] = [light(getComputedStyle(one).color), back].sort((a, b) => a - b);
  least = Math.min(least, (high + .05) / (low + .05));
}
const wide = document.documentElement.scrollWidth > innerWidth;
const seen = document.createElement('pre');
seen.id = 'seen';
seen.textContent = JSON.stringify({ wide, dark: back < .2, contrast: least });
document.body.append(seen);
"#;

/// Each way to build the example that the kit's page shows.
#[cfg(target_os = "linux")]
#[test]
fn a1_the_c_kit_builds_with_pkg_config_and_with_cmake() {
    if !has_c_tools() {
        return skip("CMake or pkg-config is missing");
    }
    let name = kit(&runtime_identifier());
    let folder = tempfile::tempdir().unwrap();
    archive::write(folder.path(), &tarred(&format!("{name}.tar.gz"))).unwrap();
    let kit = folder.path().join(name);
    let commands = blocks(&fs::read_to_string(kit.join("README.md")).unwrap(), "sh");
    for (command, program) in commands.iter().zip(["example/example", "build/example"]) {
        let place = Place::new();
        place.run(Command::new("sh").args(["-euc", command]).current_dir(&kit));
        assert_eq!(place.run(&mut Command::new(kit.join(program))), "");
        assert_eq!(place.events(), EVENTS, "{program}");
    }
    // The third shows how to see the events.
    assert_eq!(commands.len(), 3);
    let readme = blocks(&fs::read_to_string(root().join("README.md")).unwrap(), "c");
    assert_eq!(readme, [fs::read_to_string(kit.join("example/example.c")).unwrap()]);
}

#[cfg(target_os = "linux")]
#[test]
fn a1_the_c_kit_for_windows_builds_with_pkg_config_and_with_cmake() {
    if !packs_windows() || !windows::can_run() || !has_c_tools() {
        return skip("a compiler for Windows, Wine, CMake or pkg-config is missing");
    }
    let name = kit(windows::RUNTIME_IDENTIFIER);
    let folder = tempfile::tempdir().unwrap();
    archive::write(folder.path(), &zipped(&format!("{name}.zip"))).unwrap();
    let kit = folder.path().join(name);
    let compiler = windows::LINKER;
    let commands = [
        format!(
            "PKG_CONFIG_PATH=lib/pkgconfig {compiler} -std=c11 example/example.c -o bin/with-pkg-config.exe \
             $(PKG_CONFIG_PATH=lib/pkgconfig pkg-config --cflags --libs vms-telemetry)"
        ),
        format!(
            "cmake -S example -B build -DCMAKE_PREFIX_PATH=\"$PWD\" -DCMAKE_SYSTEM_NAME=Windows \
             -DCMAKE_C_COMPILER={compiler} -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=NEVER
             cmake --build build
             cp build/example.exe bin/with-cmake.exe"
        ),
    ];
    for (command, program) in commands.iter().zip(["with-pkg-config.exe", "with-cmake.exe"]) {
        let place = Place::new();
        place.run(Command::new("sh").args(["-euc", command]).current_dir(&kit));
        place.run_on_windows(&kit.join("bin").join(program));
        assert_eq!(place.events(), EVENTS, "{program}");
    }
}
