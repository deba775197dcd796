//! The configuration REST API behind a token: requests that renew it, and lists page by page.

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::failure::{Failure, Kind};
use super::http::{Answer, Http};
use super::idp::{self, Token};
use super::list::{self, Item};

/// Items that are asked for at once.
const PAGE: usize = 1_000;
/// Most items of one list: beyond any VMS, and a bound for a server that never ends.
const ITEM_LIMIT: usize = 200_000;

/// The API of one server, for one user.
pub struct Rest {
    /// The server.
    pub http: Http,
    /// Path of the API, with a slash at its end.
    pub base: String,
    /// Path of the token endpoint.
    pub token_path: String,
    /// The user's token.
    pub token: Mutex<Token>,
}

impl Rest {
    /// Asks for a resource. Where the token has run out, gets the next one and asks once more.
    fn get(&self, resource: &str, until: Instant) -> Result<Answer, Failure> {
        let path = format!("{}{resource}", self.base);
        let used = self.token.lock().unwrap_or_else(PoisonError::into_inner).access.clone();
        let answer = self.http.get(&path, Some(&used), until)?;
        if answer.status != 401 || !self.renew(&used, until)? {
            return Ok(answer);
        }
        let renewed = self.token.lock().unwrap_or_else(PoisonError::into_inner).access.clone();
        self.http.get(&path, Some(&renewed), until)
    }

    /// Replaces a token that ran out; tells whether there is another one now.
    fn renew(&self, used: &str, until: Instant) -> Result<bool, Failure> {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if token.access.as_str() == used {
            let Some(refresh) = &token.refresh else {
                return Ok(false);
            };
            *token = idp::refresh(&self.http, &self.token_path, refresh, until)?;
        }
        Ok(true)
    }

    /// Reads the items of a list, each once, for as long as `each` says yes. Whether a server knows paging, and how large
    /// its pages may be, shows only in what comes: the list ends with a page that brings nothing new.
    ///
    /// # Errors
    /// There was no sensible answer, the list is beyond all bounds, or it has items without an id, so that nobody knows
    /// where it ends. Items before that were handed over.
    pub fn list(&self, resource: &str, until: Instant, each: &mut dyn FnMut(Item) -> bool) -> Result<(), Failure> {
        let mut seen = HashSet::new();
        for page in 0.. {
            let mut answer = self.get(&format!("{resource}?page={page}&size={PAGE}"), until)?;
            if answer.status != 200 {
                return Err(self.http.unexpected(&answer, resource));
            }
            let (before, mut has_ids, mut goes_on) = (seen.len(), true, true);
            let read = list::read(answer.list(), &mut |item| {
                has_ids &= item.id.is_some();
                goes_on = item.id.is_some_and(|id| !seen.insert(id)) || each(item);
                goes_on && seen.len() <= ITEM_LIMIT
            });
            read.map_err(|error| self.malformed(error, resource))?;
            if seen.len() > ITEM_LIMIT {
                break;
            }
            if !goes_on || (has_ids && seen.len() == before) {
                return Ok(());
            }
            if !has_ids {
                return Err(self
                    .http
                    .failure(Kind::Answer, &format!("the list of {resource} has items without an id")));
            }
        }
        Err(self.http.failure(Kind::Answer, &format!("the list of {resource} does not end")))
    }

    /// Reads one item; `None` where the server does not have it (404).
    ///
    /// # Errors
    /// There was no sensible answer.
    pub fn item(&self, resource: &str, until: Instant) -> Result<Option<Item>, Failure> {
        let mut answer = self.get(resource, until)?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.http.unexpected(&answer, resource)),
        }
        let (mut found, mut count) = (None, 0);
        let each = &mut |item| {
            (found, count) = (Some(item), count + 1);
            count < 2
        };
        list::read(answer.list(), each).map_err(|error| self.malformed(error, resource))?;
        if count > 1 {
            return Err(self.http.failure(Kind::Answer, &format!("asked for {resource}, the server gave several")));
        }
        Ok(found)
    }

    fn malformed(&self, error: serde_json::Error, resource: &str) -> Failure {
        if error.is_io() {
            return Failure::of_request(&ureq::Error::from(io::Error::from(error)), &self.http.origin);
        }
        let place = format!("line {}, column {}", error.line(), error.column());
        let what = format!("asked for {resource}, the server gave what cannot be understood ({place})");
        self.http.failure(Kind::Answer, &what)
    }
}
