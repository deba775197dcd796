//! Windows logon at HTTP level: `NTLM` and `Negotiate`, a handshake of several requests on one connection.
//!
//! - The state belongs to the connection: a proof given on another one is worthless, and each challenge is used once.
//! - A connection that has proved who it is stays logged on, as with IIS.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::ntlm::{Authenticate, Handshake, SIGNATURE, Session};
use super::spnego::{self, State, Token};
use crate::model::config::Config;
use crate::model::user::{User, UserKind, UserState};
use crate::state::tokens::random;

/// What the token endpoint offers for Windows logon, in this order. `Negotiate` also accepts NTLM that is not in SPNEGO.
pub(crate) const SCHEMES: [&str; 2] = ["Negotiate", "NTLM"];
const COMPUTER: &str = "DEMO-VMS";
/// What the server calls its domain where no Windows user has one.
const DOMAIN: &str = "DEMO";

/// The Windows logon of one connection.
#[derive(Default)]
pub(crate) struct Connection {
    pending: Option<Pending>,
    /// Who has logged on: a place in the list of users.
    user: Option<usize>,
}

enum Pending {
    /// NTLM was chosen from the client's list, and its first message is awaited.
    Chosen(Mechanisms),
    /// The challenge was sent, wrapped in SPNEGO if there is a list.
    Challenged(Handshake, Option<Mechanisms>),
}

/// The client's list of mechanisms as it came, which both sides may sign.
struct Mechanisms {
    list: Vec<u8>,
    ntlm_first: bool,
}

enum Reply {
    Token(Vec<u8>),
    Done(usize, Option<Vec<u8>>),
}

/// What to answer.
pub(crate) enum Step {
    /// 401 with this value of `WWW-Authenticate`.
    Continue(String),
    /// The user is known; a value of `WWW-Authenticate` may go with the answer.
    Done(usize, Option<String>),
    /// 401 with the schemes that are offered.
    Refused,
}

impl Connection {
    /// Takes the next step with the value of an `Authorization` header, if one was there.
    pub(crate) fn step(&mut self, authorization: Option<&str>, config: &Config) -> Step {
        let Some(authorization) = authorization else {
            return self.user.map_or(Step::Refused, |user| Step::Done(user, None));
        };
        // Whatever comes next, an open challenge and an earlier logon are over.
        let pending = self.pending.take();
        self.user = None;
        let Some((scheme, token)) = scheme(authorization) else { return Step::Refused };
        let header = |token: Vec<u8>| format!("{scheme} {}", BASE64_STANDARD.encode(token));
        let token = BASE64_STANDARD.decode(token.trim()).unwrap_or_default();
        match self.reply(pending, &token, config) {
            Some(Reply::Token(token)) => Step::Continue(header(token)),
            Some(Reply::Done(user, token)) => {
                self.user = Some(user);
                Step::Done(user, token.map(header))
            }
            None => Step::Refused,
        }
    }

    fn reply(&mut self, pending: Option<Pending>, token: &[u8], config: &Config) -> Option<Reply> {
        if token.starts_with(SIGNATURE) {
            return match pending {
                Some(Pending::Challenged(handshake, None)) => {
                    let (user, _) = prove(&handshake, token, config)?;
                    Some(Reply::Done(user, None))
                }
                _ => self.challenge(token, None, config),
            };
        }
        match (pending, spnego::read(token)?) {
            (_, Token::Init { mechanisms, ntlm_first, token }) => {
                let mechanisms = Mechanisms { list: mechanisms.to_vec(), ntlm_first: ntlm_first? };
                // A token that is there is the first mechanism's.
                if let Some(token) = token.filter(|_| mechanisms.ntlm_first) {
                    return self.challenge(token, Some(mechanisms), config);
                }
                let state = if mechanisms.ntlm_first { State::Incomplete } else { State::RequestMic };
                self.pending = Some(Pending::Chosen(mechanisms));
                Some(Reply::Token(spnego::respond(state, true, None, None)))
            }
            (Some(Pending::Chosen(mechanisms)), Token::Response { token, .. }) => {
                self.challenge(token?, Some(mechanisms), config)
            }
            (Some(Pending::Challenged(handshake, Some(mechanisms))), Token::Response { token, mic }) => {
                let (user, session) = prove(&handshake, token?, config)?;
                let signed = mic.is_some_and(|mic| mic == session.signature(&mechanisms.list, false));
                if !signed && (mic.is_some() || !mechanisms.ntlm_first) {
                    return None;
                }
                let mic = mic.map(|_| session.signature(&mechanisms.list, true));
                let mic = mic.as_ref().map(<[u8; 16]>::as_slice);
                Some(Reply::Done(user, Some(spnego::respond(State::Completed, false, None, mic))))
            }
            _ => None,
        }
    }

    fn challenge(&mut self, negotiate: &[u8], mechanisms: Option<Mechanisms>, config: &Config) -> Option<Reply> {
        let domain = config.users.iter().find(|user| user.kind == UserKind::Windows).map(|user| user.domain.as_str());
        let domain = domain.filter(|domain| !domain.is_empty()).unwrap_or(DOMAIN);
        let handshake = Handshake::new(negotiate, domain, COMPUTER, random(), SystemTime::now())?;
        let message = handshake.challenge.clone();
        let token = match &mechanisms {
            Some(_) => spnego::respond(State::Incomplete, true, Some(&message), None),
            None => message,
        };
        self.pending = Some(Pending::Challenged(handshake, mechanisms));
        Some(Reply::Token(token))
    }
}

/// Returns the user whose password the message proves.
fn prove(handshake: &Handshake, message: &[u8], config: &Config) -> Option<(usize, Session)> {
    let message = Authenticate::read(message)?;
    // `name@domain` comes whole, with no domain beside it.
    let (name, domain) = match message.user.split_once('@') {
        Some(parts) if message.domain.is_empty() => parts,
        _ => (message.user.as_str(), message.domain.as_str()),
    };
    let matches = |user: &User| {
        user.kind == UserKind::Windows
            && user.state == UserState::Normal
            && user.name.eq_ignore_ascii_case(name)
            && (domain.is_empty() || user.domain.eq_ignore_ascii_case(domain))
    };
    let mut users = config.users.iter().enumerate().filter(|(_, user)| matches(user));
    users.find_map(|(place, user)| Some((place, handshake.verify(&message, &user.password)?)))
}

fn scheme(authorization: &str) -> Option<(&'static str, &str)> {
    let (name, token) = authorization.split_once(' ')?;
    Some((SCHEMES.into_iter().find(|scheme| scheme.eq_ignore_ascii_case(name))?, token))
}
