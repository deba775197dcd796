//! Logon of basic users, and what becomes of their tokens.

use std::time::Duration;

use vms_demo::{AccessToken, Config, User, UserState};

use crate::common::{SOON, array, config, connect, error, log_on, logged_on, post, rest, start};

const BOTH: [&str; 2] = ["/IDP/connect/token", "/API/IDP/connect/token"];

#[test]
fn the_right_password_opens_the_api_and_any_other_does_not() {
    let vms = start(config());
    let mut client = connect(&vms);
    let form = "grant_type=password&username=Reader&password=p%26w%3D1+%2B%25&client_id=GrantValidatorClient";
    for path in BOTH.iter().chain(&["/idp/CONNECT/token/"]) {
        let answer = post(&mut client, path, "", form);
        let json = answer.json();
        assert_eq!(answer.status, 200);
        assert_eq!((&json["expires_in"], &json["token_type"]), (&3600.into(), &"Bearer".into()));
        assert_eq!((&json["scope"], json.get("refresh_token")), (&"managementserver".into(), None));
        let token = json["access_token"].as_str().unwrap();
        assert_eq!(token.split('.').count(), 3);
        client.token = Some(token.to_owned());
        assert_eq!(array(&rest(&mut client, "sites")).len(), 1);
    }
    for (name, password) in [("reader", "p"), ("reader", ""), ("nobody", "p%26w%3D1+%2B%25"), ("", "")] {
        let answer = log_on(&mut client, name, password);
        assert_eq!(answer.status, 400);
        let wrong = r#"{"error":"invalid_grant","error_description":"invalid_username_or_password","error_code":"InvalidCredentials"}"#;
        assert_eq!(answer.body, wrong);
    }
}

#[test]
fn locked_users_and_those_with_an_old_password_are_told_so() {
    let state = |name: &str, state| User { state, ..User::basic(name, "x") };
    let users = vec![state("locked", UserState::Locked), state("novice", UserState::MustChangePassword)];
    let vms = start(Config { users, ..config() });
    for (name, password, code) in
        [("locked", "x", "LockedOut"), ("novice", "y", "InvalidCredentials"), ("novice", "x", "ChangePassword")]
    {
        assert_eq!(log_on(&mut connect(&vms), name, password).json()["error_code"], code);
    }
}

#[test]
fn grants_and_clients_that_do_not_fit_are_refused() {
    let vms = start(config());
    let mut client = connect(&vms);
    let user = "username=reader&password=p%26w%3D1+%2B%25";
    for (form, error) in [
        (format!("grant_type=password&{user}"), "invalid_client"),
        (format!("grant_type=password&{user}&client_id=Other"), "invalid_client"),
        (format!("grant_type=magic&{user}&client_id=VmsClient"), "unsupported_grant_type"),
        ("grant_type=refresh_token&client_id=GrantValidatorClient".to_owned(), "unauthorized_client"),
        ("grant_type=refresh_token&refresh_token=x&client_id=VmsClient".to_owned(), "invalid_grant"),
    ] {
        let answer = post(&mut client, BOTH[0], "", &form);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &error.into()), "{form}");
    }
    assert_eq!(client.get(BOTH[0]).status, 400);
}

#[test]
fn an_expired_token_is_refused_and_a_refreshed_one_works() {
    let vms = start(config());
    let mut client = connect(&vms);
    let answer = post(
        &mut client,
        BOTH[1],
        "",
        "grant_type=password&username=reader&password=p%26w%3D1+%2B%25&client_id=VmsClient",
    );
    client.token = answer.json()["access_token"].as_str().map(str::to_owned);
    assert_eq!(rest(&mut client, "sites").status, 200);

    vms.expire_tokens();
    let refused = rest(&mut client, "sites");
    assert_eq!((refused.status, refused.headers("www-authenticate")), (401, vec!["Bearer"]));
    assert_eq!(error(&refused), "Token validation failed: the token is expired.");

    let first = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    let refresh = |token: &str| format!("grant_type=refresh_token&refresh_token={token}&client_id=VmsClient");
    let answer = post(&mut client, BOTH[0], "", &refresh(&first));
    client.token = answer.json()["access_token"].as_str().map(str::to_owned);
    assert_eq!(rest(&mut client, "sites").status, 200);
    let second = answer.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(post(&mut client, BOTH[0], "", &refresh(&first)).status, 400);
    assert_eq!(post(&mut client, BOTH[0], "", &refresh(&second)).status, 200);
}

#[test]
fn tokens_expire_by_themselves_and_unknown_ones_are_refused() {
    let access_tokens = [("old", Some(0)), ("young", Some(1000)), ("eternal", None)]
        .map(|(token, seconds)| AccessToken { token: token.to_owned(), user: "reader".to_owned(), seconds });
    let vms = start(Config { access_tokens: access_tokens.to_vec(), ..config() });
    let mut client = connect(&vms);
    for (token, status) in [("old", 401), ("young", 200), ("eternal", 200), ("other", 401)] {
        client.token = Some(token.to_owned());
        assert_eq!(rest(&mut client, "sites").status, status);
    }
    client.token = None;
    let refused = rest(&mut client, "nosuch");
    assert_eq!((refused.status, refused.headers("www-authenticate")), (401, vec!["Bearer"]));
}

#[test]
fn discovery_names_the_parts_of_this_server() {
    let vms = start(Config { advertise: Some("https://vms.example.test/".to_owned()), ..config() });
    let mut client = connect(&vms);
    let uris = client.get("/api/.well-known/uris").json();
    assert_eq!(uris["IdentityProvider"], "https://vms.example.test/IDP");
    assert_eq!(uris["ApiGateways"][0], "https://vms.example.test/API/");
    assert_eq!(uris["SecureManagementServer"], "https://vms.example.test/");
    assert_eq!(uris["ProductVersion"], "25.1.1804.0");
}

#[test]
fn the_record_says_who_asked_and_keeps_no_secret() {
    let vms = start(config());
    let mut client = logged_on(&vms);
    rest(&mut client, "cameras?disabled&size=1");
    let received = vms.wait_for(Some("/API/rest/v1/cameras"), 1, SOON);
    assert_eq!((received.len(), received[0].query.as_str(), received[0].authorization), (1, "disabled&size=1", true));
    let all = vms.received();
    assert_eq!(all[0].fields, ["grant_type", "username", "password", "client_id"]);
    assert_eq!((all.len(), all[0].authorization, vms.connections()), (2, false, 1));
    let text = format!("{all:?}");
    assert!(!text.contains("w%3D1") && !text.contains(client.token.as_ref().unwrap()));
    assert_eq!(vms.wait_for(None, 9, Duration::from_millis(1)).len(), 2);
}
