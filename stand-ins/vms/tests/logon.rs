//! Logon of basic users, services and external users, and what becomes of their tokens.

mod common;

use std::time::Duration;

use common::{Client, config};
use vms_demo::{AccessToken, Config, DemoVms, Provider, Service, User, UserState};

const BOTH: [&str; 2] = ["/IDP/connect/token", "/API/IDP/connect/token"];

#[test]
fn the_right_password_opens_the_api_and_any_other_does_not() {
    let vms = DemoVms::start(config()).unwrap();
    let mut client = Client::connect(&vms);
    let form = "grant_type=password&username=Reader&password=p%26w%3D1+%2B%25&client_id=GrantValidatorClient";
    for path in BOTH.iter().chain(&["/idp/CONNECT/token/"]) {
        let answer = client.post(path, form);
        let json = answer.json();
        assert_eq!(answer.status, 200);
        assert_eq!((&json["expires_in"], &json["token_type"]), (&3600.into(), &"Bearer".into()));
        assert_eq!((&json["scope"], json.get("refresh_token")), (&"managementserver".into(), None));
        let token = json["access_token"].as_str().unwrap();
        assert_eq!(token.split('.').count(), 3);
        client.token = Some(token.to_owned());
        assert_eq!(client.rest("sites").array().len(), 1);
    }
    for (name, password) in [("reader", "p"), ("reader", ""), ("nobody", "p%26w%3D1+%2B%25"), ("", "")] {
        let answer = client.log_on(name, password);
        assert_eq!(answer.status, 400);
        let wrong = r#"{"error":"invalid_grant","error_description":"invalid_username_or_password","error_code":"InvalidCredentials"}"#;
        assert_eq!(answer.body, wrong);
    }
}

#[test]
fn locked_users_and_those_with_an_old_password_are_told_so() {
    let state = |name: &str, state| User { state, ..User::basic(name, "x") };
    let users = vec![
        state("locked", UserState::Locked),
        state("novice", UserState::MustChangePassword),
        User::basic("clumsy", "x"),
    ];
    let vms = DemoVms::start(Config { users, lockout_after: 3, ..config() }).unwrap();
    let mut client = Client::connect(&vms);
    let mut code =
        |name, password| client.log_on(name, password).json()["error_code"].as_str().unwrap_or("").to_owned();
    assert_eq!(code("locked", "x"), "LockedOut");
    assert_eq!(code("novice", "y"), "InvalidCredentials");
    assert_eq!(code("novice", "x"), "ChangePassword");
    for (password, told) in
        [("y", "InvalidCredentials"), ("y", "InvalidCredentials"), ("x", ""), ("y", "InvalidCredentials")]
    {
        assert_eq!(code("clumsy", password), told);
    }
    assert_eq!((code("clumsy", "y"), code("clumsy", "y")), ("InvalidCredentials".into(), "InvalidCredentials".into()));
    assert_eq!(code("clumsy", "x"), "LockedOut");
}

#[test]
fn grants_and_clients_that_do_not_fit_are_refused() {
    let vms = DemoVms::start(config()).unwrap();
    let mut client = Client::connect(&vms);
    let user = "username=reader&password=p%26w%3D1+%2B%25";
    for (form, error) in [
        (format!("grant_type=password&{user}"), "invalid_client"),
        (format!("grant_type=password&{user}&client_id=Other"), "invalid_client"),
        (format!("grant_type=magic&{user}&client_id=VmsClient"), "unsupported_grant_type"),
        ("grant_type=refresh_token&client_id=GrantValidatorClient".to_owned(), "unauthorized_client"),
        ("grant_type=refresh_token&refresh_token=x&client_id=VmsClient".to_owned(), "invalid_grant"),
        ("grant_type=authorization_code&code=x&client_id=VmsClient".to_owned(), "invalid_grant"),
    ] {
        let answer = client.post(BOTH[0], &form);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &error.into()), "{form}");
    }
    assert_eq!(client.get(BOTH[0]).status, 400);
}

#[test]
fn an_expired_token_is_refused_and_a_refreshed_one_works() {
    let vms = DemoVms::start(config()).unwrap();
    let mut client = Client::connect(&vms);
    let answer =
        client.post(BOTH[1], "grant_type=password&username=reader&password=p%26w%3D1+%2B%25&client_id=VmsClient");
    client.token = answer.json()["access_token"].as_str().map(str::to_owned);
    assert_eq!(client.rest("sites").status, 200);

    vms.expire_tokens();
    let refused = client.rest("sites");
    assert_eq!((refused.status, refused.headers("www-authenticate")), (401, vec!["Bearer"]));
    assert_eq!(refused.error(), "Token validation failed: the token is expired.");

    let first = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    let refresh = |token: &str| format!("grant_type=refresh_token&refresh_token={token}&client_id=VmsClient");
    let answer = client.post(BOTH[0], &refresh(&first));
    client.token = answer.json()["access_token"].as_str().map(str::to_owned);
    assert_eq!(client.rest("sites").status, 200);
    let second = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(client.post(BOTH[0], &refresh(&first)).status, 400);
    assert_eq!(client.post(BOTH[0], &refresh(&second)).status, 200);
}

#[test]
fn tokens_expire_by_themselves_and_unknown_ones_are_refused() {
    let access_tokens = [("old", Some(0)), ("young", Some(1000)), ("eternal", None)]
        .map(|(token, seconds)| AccessToken { token: token.to_owned(), user: "reader".to_owned(), seconds });
    let vms = DemoVms::start(Config { token_seconds: 0, access_tokens: access_tokens.to_vec(), ..config() }).unwrap();
    let mut client = Client::logged_on(&vms);
    assert!(client.rest("sites").error().contains("expired"));
    for (token, status) in [("old", 401), ("young", 200), ("eternal", 200), ("other", 401)] {
        client.token = Some(token.to_owned());
        assert_eq!(client.rest("sites").status, status);
    }
    client.token = None;
    let refused = client.rest("nosuch");
    assert_eq!((refused.status, refused.headers("www-authenticate")), (401, vec!["Bearer"]));
}

#[test]
fn services_log_on_with_their_secret() {
    let services = vec![Service { id: "watch".to_owned(), secret: "s".to_owned() }];
    let vms = DemoVms::start(Config { services, ..config() }).unwrap();
    let mut client = Client::connect(&vms);
    let form = "grant_type=client_credentials&client_id=watch&scope=managementserver&client_secret=";
    let answer = client.post(BOTH[0], &format!("{form}s"));
    client.token = answer.json()["access_token"].as_str().map(str::to_owned);
    assert_eq!(client.rest("sites").status, 200);
    assert_eq!(client.post(BOTH[0], &format!("{form}t")).json()["error"], "invalid_client");
}

#[test]
fn external_users_log_on_with_a_code_and_its_verifier() {
    let provider = Provider {
        id: "77777777-0000-4000-8000-000000000001".to_owned(),
        name: "Demo ID".to_owned(),
        user: "visitor".to_owned(),
    };
    let config = Config { users: vec![User::external("visitor")], providers: vec![provider], ..config() };
    let vms = DemoVms::start(config).unwrap();
    let mut client = Client::connect(&vms);
    let document = client.get("/IDP/.well-known/openid-configuration").json();
    let path =
        |name: &str| document[name].as_str().unwrap().strip_prefix(vms.url().trim_end_matches('/')).unwrap().to_owned();
    let provider = client.get(&path("external_providers_uri")).json()[0].clone();
    assert_eq!(provider["displayName"], "Demo ID");
    let id = provider["loginProviderId"].as_str().unwrap();

    // Verifier and challenge of RFC 7636, appendix B.
    let (verifier, challenge) =
        ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let authorize = format!(
        "{}?response_type=code&nonce=n&state=a%26b&code_challenge={challenge}&code_challenge_method=S256\
         &client_id=VmsAdminClient&scope=openid&redirect_uri=http%3A%2F%2F127.0.0.1%3A5656%2F&acr_values=idp%3A",
        path("authorization_endpoint")
    );
    let mut code = |acr: &str| {
        let answer = client.get(&format!("{authorize}{acr}"));
        assert_eq!(answer.status, 302);
        let location = answer.headers("location")[0].to_owned();
        assert!(location.ends_with("&state=a%26b"));
        location.strip_prefix("http://127.0.0.1:5656/?").unwrap().split('&').next().unwrap().to_owned()
    };
    assert_eq!(code("nosuch"), "error=access_denied");
    let (first, second) = (code(id), code(id));
    let token = path("token_endpoint");
    let form = |code: &str, verifier: &str| {
        format!(
            "grant_type=authorization_code&{code}&code_verifier={verifier}&client_id=VmsAdminClient\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A5656%2F"
        )
    };
    assert_eq!(client.post(&token, &form(&first, "wrong")).status, 400);
    assert_eq!(client.post(&token, &form(&first, verifier)).status, 400, "a code is used up by a wrong verifier too");
    let answer = client.post(&token, &form(&second, verifier)).json();
    assert!(answer["id_token"].is_string() && answer["refresh_token"].is_string());
    client.token = answer["access_token"].as_str().map(str::to_owned);
    assert_eq!(client.rest("sites").status, 200);
    let elsewhere = authorize.replace("127.0.0.1%3A5656", "example.test");
    assert_eq!(client.get(&format!("{elsewhere}{id}")).status, 400);
}

#[test]
fn discovery_names_the_parts_of_this_server() {
    let vms = DemoVms::start(Config { advertise: Some("https://vms.example.test/".to_owned()), ..config() }).unwrap();
    let mut client = Client::connect(&vms);
    let uris = client.get("/api/.well-known/uris").json();
    assert_eq!(uris["IdentityProvider"], "https://vms.example.test/IDP");
    assert_eq!(uris["ApiGateways"][0], "https://vms.example.test/API/");
    assert_eq!(uris["SecureManagementServer"], "https://vms.example.test/");
    assert_eq!(client.get("/ManagementServer/.well-known/uris").json(), uris);
    let document = client.get("/API/IDP/.well-known/openid-configuration").json();
    assert_eq!(document["issuer"], uris["IdentityProvider"]);
    assert_eq!(document["server_version"], uris["ProductVersion"]);
}

#[test]
fn the_record_says_who_asked_and_keeps_no_secret() {
    let vms = DemoVms::start(config()).unwrap();
    let mut client = Client::logged_on(&vms);
    client.rest("cameras?disabled&size=1");
    let received = vms.wait_for(Some("/API/rest/v1/cameras"), 1, Duration::from_secs(10));
    assert_eq!((received.len(), received[0].query.as_str(), received[0].authorization), (1, "disabled&size=1", true));
    let all = vms.received();
    assert_eq!(all[0].fields, ["grant_type", "username", "password", "client_id"]);
    assert_eq!((all.len(), all[0].authorization, vms.connections()), (2, false, 1));
    let text = format!("{all:?}");
    assert!(!text.contains("w%3D1") && !text.contains(client.token.as_ref().unwrap()));
    assert_eq!(vms.wait_for(None, 9, Duration::from_millis(1)).len(), 2);
}
