//! The REST API: lists, pages, errors, the privacy option.

use std::collections::HashSet;

use serde_json::Value;
use vms_demo::{Config, DemoVms, Disabled, Privacy, Quirks, Site, User};

use crate::common::{array, config, error, logged_on, rest, start};

const OPTION: &str = "toolOptions/a36b973e-eb89-4cd9-8f44-5628c1e7f032";

fn ids(items: &[Value]) -> HashSet<String> {
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn lists_hold_what_is_enabled_unless_the_rest_is_asked_for() {
    for seed in 0..20 {
        let vms = start(Config { site: Site::random(seed), ..config() });
        let mut client = logged_on(&vms);
        let (some, all) = (vms.counts(), vms.counts_with_disabled());
        for (resource, some, all) in [
            ("childSites", some.child_sites, all.child_sites),
            ("recordingServers", some.recording_servers, all.recording_servers),
            ("hardware", some.hardware, all.hardware),
            ("cameras", some.cameras, all.cameras),
            ("microphones", some.microphones, all.microphones),
            ("speakers", some.speakers, all.speakers),
            ("metadata", some.metadata, all.metadata),
            ("inputEvents", some.inputs, all.inputs),
            ("outputs", some.outputs, all.outputs),
        ] {
            let listed = array(&rest(&mut client, resource));
            assert_eq!(ids(&listed).len() as u64, some, "{seed} {resource}");
            assert!(listed.iter().all(|item| resource == "childSites" || item["enabled"] == true));
            assert_eq!(listed.len() as u64, some, "{seed} {resource}");
            for flag in ["disabled", "Disabled=", "disabled=true"] {
                assert_eq!(
                    array(&rest(&mut client, &format!("{resource}?{flag}"))).len() as u64,
                    all,
                    "{seed} {resource}"
                );
            }
        }
    }
}

#[test]
fn pages_make_up_the_list_and_end_with_an_empty_one() {
    let site = Site { recording_servers: 2, hardware: 30, cameras: 2, ..Site::default() };
    let vms = start(Config { site, ..config() });
    let mut client = logged_on(&vms);
    let whole = array(&rest(&mut client, "cameras"));
    let mut paged = Vec::new();
    for page in 0.. {
        let items = array(&rest(&mut client, &format!("cameras?page={page}&size=7")));
        paged.extend(items.clone());
        if items.len() < 7 {
            break;
        }
    }
    assert_eq!(paged, whole);
    assert_eq!(rest(&mut client, "cameras?page=1000&size=7").body, r#"{"array":[]}"#);
    assert_eq!(array(&rest(&mut client, "cameras?page=18446744073709551615&size=18446744073709551615")).len(), 0);
    assert_eq!(array(&rest(&mut client, "cameras?size=3")), whole[..3]);
    for bad in ["size=0", "size=-1", "size=x", "size", "page=", "nosuch=1", "nosuch"] {
        assert_eq!(rest(&mut client, &format!("cameras?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn servers_differ_in_how_they_page_and_what_they_list() {
    let site = Site {
        recording_servers: 1,
        hardware: 40,
        disabled: Disabled { hardware: 50, ..Disabled::default() },
        ..Site::default()
    };
    let with = |quirks| start(Config { site: site.clone(), quirks, ..config() });
    let lengths = |quirks: Quirks| {
        let vms = with(quirks);
        let mut client = logged_on(&vms);
        ["cameras", "cameras?size=30&disabled", "cameras?page=1&size=30&disabled"]
            .map(|query| array(&rest(&mut client, query)).len())
    };
    let enabled = usize::try_from(with(Quirks::default()).counts().cameras).unwrap();
    assert!((5..35).contains(&enabled));
    assert_eq!(lengths(Quirks::default()), [enabled, 30, 10]);
    assert_eq!(lengths(Quirks { ignore_paging: true, ..Quirks::default() }), [enabled, 40, 40]);
    assert_eq!(lengths(Quirks { max_size: Some(20), ..Quirks::default() }), [enabled, 20, 20]);
    assert_eq!(lengths(Quirks { devices_of_disabled_hardware: true, ..Quirks::default() }), [40, 30, 10]);

    let vms = with(Quirks { numbers_as_strings: true, booleans_as_strings: true, ..Quirks::default() });
    let camera = array(&rest(&mut logged_on(&vms), "cameras"))[0].clone();
    assert_eq!((&camera["coverageDepth"], &camera["enabled"]), (&"4.57".into(), &"True".into()));
}

#[test]
fn items_lead_to_their_parents_and_children() {
    let vms = start(config());
    let mut client = logged_on(&vms);
    let site = array(&rest(&mut client, "sites"))[0].clone();
    assert_eq!((&site["id"], &site["version"]), (&vms.site_id().into(), &"25.1.1804.0".into()));
    let servers = array(&rest(&mut client, "recordingservers?disabled"));
    assert!(servers.iter().all(|server| server["relations"]["parent"]["id"] == site["id"]));
    let id = servers[1]["id"].as_str().unwrap();
    let hardware = &array(&rest(&mut client, &format!("recordingServers/{id}/hardware?disabled")))[2];
    let id = hardware["id"].as_str().unwrap().to_uppercase();
    assert_eq!(rest(&mut client, &format!("Hardware/{id}/")).json()["data"], *hardware);
    let inputs = array(&rest(&mut client, &format!("hardware/{id}/inputEvents?disabled")));
    assert_eq!(inputs.len(), 2);
    assert_eq!(inputs[0]["relations"]["parent"], serde_json::json!({ "type": "hardware", "id": hardware["id"] }));

    let child = array(&rest(&mut client, "childSites"))[1]["id"].as_str().unwrap().to_owned();
    let grandchild =
        array(&rest(&mut client, &format!("childSites/{child}/childSites")))[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(array(&rest(&mut client, &format!("childSites/{grandchild}/childSites"))).len(), 0);
    assert_eq!(array(&rest(&mut client, "licenseInformations"))[0]["displayName"], "XProtect Corporate 2025 R1");
    assert_eq!(
        array(&rest(&mut client, "licenseInstalledProducts"))[1]["productDisplayName"],
        "XProtect Corporate 2025 R1"
    );
}

#[test]
fn errors_have_the_form_of_the_api() {
    let users = vec![User { forbidden: vec!["hardware".to_owned()], ..User::basic("reader", "p&w=1 +%") }];
    let vms = start(Config { users, ..config() });
    let mut client = logged_on(&vms);
    let id = "00000000-0000-4000-8000-000000000000";
    for (target, status, text) in [
        ("nosuch".to_owned(), 404, "Unknown resource: nosuch".to_owned()),
        (format!("cameras/{id}"), 404, format!("Device not found. cameras/{id}")),
        ("cameras/..%5C..%5Cx".to_owned(), 404, "Device not found. cameras/..\\..\\x".to_owned()),
        (format!("sites/{}/cameras", vms.site_id()), 400, "Invalid parent. /sites".to_owned()),
        ("Hardware".to_owned(), 403, "The user has no permission for this.".to_owned()),
    ] {
        let answer = rest(&mut client, &target);
        assert_eq!((answer.status, error(&answer)), (status, text));
    }
    assert_eq!(rest(&mut client, "hardware").json()["error"]["details"][0]["errorTextId"], "VMO61008");
    let token = client.token.clone().unwrap();
    let answer = client.ask(format!("DELETE /api/rest/v1/cameras HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n"));
    assert_eq!((answer.status, answer.headers("allow")), (405, vec!["GET"]));
    assert_eq!(client.get("/elsewhere").status, 404);
}

#[test]
fn the_privacy_option_looks_as_it_is_told_to() {
    let vms = start(config());
    let mut client = logged_on(&vms);
    let on = serde_json::json!(true);
    assert_eq!(rest(&mut client, OPTION).json()["data"]["collectTelemetryEnabled"], on);
    for (privacy, status, value, in_list) in [
        (Privacy::On, 200, on.clone(), 2),
        (Privacy::Off, 200, false.into(), 2),
        (Privacy::OnAsText, 200, "True".into(), 2),
        (Privacy::OffAsText, 200, "False".into(), 2),
        (Privacy::WrongType, 200, serde_json::json!({ "value": 0 }), 2),
        (Privacy::PropertyMissing, 200, Value::Null, 2),
        (Privacy::ListOnlyOn, 404, Value::Null, 2),
        (Privacy::ListOnlyOff, 404, Value::Null, 2),
        (Privacy::ItemMissing, 404, Value::Null, 1),
        (Privacy::ResourceUnknown, 404, Value::Null, 0),
        (Privacy::Forbidden, 403, Value::Null, 0),
        (Privacy::ServerError, 500, Value::Null, 0),
        (Privacy::Malformed, 200, Value::Null, 0),
    ] {
        vms.set_privacy(privacy);
        let (item, list) = (rest(&mut client, OPTION), rest(&mut client, "toolOptions"));
        assert_eq!(item.status, status, "{privacy:?}");
        if in_list == 0 {
            assert_eq!((item.status, item.body), (list.status, list.body));
        } else {
            assert_eq!(array(&list).len(), in_list);
            assert_eq!(item.json()["data"]["collectTelemetryEnabled"], value, "{privacy:?}");
        }
    }
    vms.set_privacy(Privacy::ListOnlyOff);
    assert_eq!(array(&rest(&mut client, "toolOptions"))[1]["collectTelemetryEnabled"], false);
    vms.set_privacy(Privacy::ResourceUnknown);
    assert_eq!(error(&rest(&mut client, OPTION)), "Unknown resource: toolOptions");
}

#[test]
fn a_large_site_is_answered_in_parts() {
    let site = Site {
        recording_servers: 50,
        hardware: 100,
        cameras: 1,
        id: Some("..\\..\\x".to_owned()),
        disabled: Disabled::default(),
        ..Site::default()
    };
    let vms = start(Config { site, ..config() });
    let mut client = logged_on(&vms);
    let mut seen = HashSet::new();
    for page in 0..6 {
        seen.extend(ids(&array(&rest(&mut client, &format!("cameras?page={page}&size=1000")))));
    }
    assert_eq!((seen.len() as u64, vms.counts().cameras), (5000, 5000));
    assert_eq!(array(&rest(&mut client, "sites"))[0]["id"], "..\\..\\x");
    let large = Site { hardware: u32::MAX, ..Site::default() };
    assert!(DemoVms::start(Config { site: large, ..config() }).is_err());
}
