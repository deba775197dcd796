//! The configuration REST API behind a token: lists (`{"array":[…]}`), page by page, and single items (`{"data":{…}}`).
//!
//! A response is read as a stream, item by item, so that no list is in memory as a whole and reading can stop. Servers differ in
//! the types and the case of members. A member of an unexpected type counts as absent.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::failure::{Failure, FailureKind};
use super::http::{Http, Response};
use super::idp::{self, Token};

/// Items per request: a choice, about 1.5 MB of cameras.
const PAGE: usize = 1_000;
/// Items of one list: a choice, beyond any VMS, and a bound for a server whose list never ends.
const ITEM_LIMIT: usize = 200_000;
/// Bytes of an item and of what is before it: a choice. One has about 1,500.
const SIZE_LIMIT: usize = 256 * 1024;

/// The API of one server, for one user.
pub(super) struct Api {
    pub(super) http: Http,
    /// Path of the API, with a slash at its end.
    pub(super) base: String,
    pub(super) token: Mutex<Token>,
}

impl Api {
    fn token(&self) -> MutexGuard<'_, Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests a resource. If the token has expired, refreshes it and tries once more.
    fn get(&self, resource: &str, until: Instant) -> Result<Response, Failure> {
        let path = format!("{}{resource}", self.base);
        let mut token = self.token();
        let response = self.http.get(&path, Some(&token.access), until)?;
        let Some((endpoint, refresh)) = token.refresh.as_ref().filter(|_| response.status == 401) else {
            return Ok(response);
        };
        *token = idp::refresh(&self.http, endpoint, refresh, until)?;
        self.http.get(&path, Some(&token.access), until)
    }

    /// Passes each item of a list to `each`, once, until that returns false. Some servers ignore paging, or allow only smaller
    /// pages. So the list ends with a page that has nothing new, and as soon as a page begins with a known item.
    ///
    /// # Errors
    /// The list is too long, or has items without an id, so that its end cannot be found. Earlier items were passed.
    pub(super) fn list(
        &self,
        resource: &str,
        until: Instant,
        each: &mut dyn FnMut(Item) -> bool,
    ) -> Result<(), Failure> {
        let (mut seen, mut is_ended, mut has_ids) = (HashSet::new(), false, true);
        for page in 0.. {
            let mut response = self.get(&format!("{resource}?page={page}&size={PAGE}"), until)?;
            if response.status != 200 {
                return Err(self.http.unexpected(&mut response, resource));
            }
            let before = seen.len();
            self.read(&mut response, resource, &mut |item| {
                let is_known = item.id().is_some_and(|id| !seen.insert(id));
                has_ids &= item.id().is_some();
                is_ended = if is_known { seen.len() == before } else { !each(item) };
                !is_ended && seen.len() <= ITEM_LIMIT
            })?;
            if seen.len() > ITEM_LIMIT {
                break;
            }
            let is_whole = page == 0 && seen.len() > PAGE;
            if is_ended || (has_ids && (is_whole || seen.len() == before)) {
                return Ok(());
            }
            if !has_ids {
                let what = format!("the list of {resource} has items without an id");
                return Err(self.http.failure(FailureKind::Answer, &what));
            }
        }
        Err(self.http.failure(FailureKind::Answer, &format!("the list of {resource} is too long")))
    }

    /// Reads one item. `None`: the server does not have it (404).
    pub(super) fn item(&self, resource: &str, until: Instant) -> Result<Option<Item>, Failure> {
        let mut response = self.get(resource, until)?;
        match response.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.http.unexpected(&mut response, resource)),
        }
        let mut found = None;
        self.read(&mut response, resource, &mut |item| {
            found = Some(item);
            false
        })?;
        Ok(found)
    }

    fn read(&self, response: &mut Response, resource: &str, each: &mut dyn FnMut(Item) -> bool) -> Result<(), Failure> {
        let read = response.list().map_err(serde_json::Error::io).and_then(|body| read(body, each));
        read.map_err(|error| {
            if error.is_io() {
                return self.http.failed(&io::Error::from(error).into());
            }
            let place = format!("line {}, column {}", error.line(), error.column());
            let what = format!("asked for {resource}, the server gave something else ({place})");
            self.http.failure(FailureKind::Answer, &what)
        })
    }
}

/// An item as it came.
#[derive(Debug, PartialEq)]
pub(super) struct Item(Map<String, Value>);

impl Item {
    fn members<'a, 'b>(map: &'a Map<String, Value>, name: &'b str) -> impl Iterator<Item = &'a Value> + use<'a, 'b> {
        map.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        Self::members(&self.0, name).find_map(Value::as_str)
    }

    /// Returns a Boolean value, which may be a string. If there are several, one that is false wins: it may be an opt-out.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let flag = |value: &Value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => text.to_ascii_lowercase().parse().ok(),
            _ => None,
        };
        Self::members(&self.0, name).filter_map(flag).min()
    }

    pub(super) fn guid(&self, name: &str) -> Option<Uuid> {
        self.text(name).and_then(|text| Uuid::try_parse(text).ok())
    }

    pub(super) fn id(&self) -> Option<Uuid> {
        self.guid("id").or_else(|| self.relation("self"))
    }

    /// Returns the id of the item that this one is part of.
    pub(super) fn parent(&self) -> Option<Uuid> {
        self.relation("parent")
    }

    fn relation(&self, name: &str) -> Option<Uuid> {
        let relations = Self::members(&self.0, "relations").find_map(Value::as_object)?;
        let relation = Self::members(relations, name).find_map(Value::as_object)?;
        Self::members(relation, "id").find_map(|id| Uuid::try_parse(id.as_str()?).ok())
    }
}

/// Reads a document, and passes each of its items to `each` until that returns false.
pub(super) fn read(document: impl Read, each: &mut dyn FnMut(Item) -> bool) -> Result<(), serde_json::Error> {
    let left = Cell::new(SIZE_LIMIT);
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(Bounded(document, &left)));
    let mut items = Items { each, is_ended: false, left: &left };
    let outcome = items.deserialize(&mut json);
    if items.is_ended { Ok(()) } else { outcome.and_then(|()| json.end()) }
}

/// Visits a document, and then the list in it.
struct Items<'a> {
    each: &'a mut dyn FnMut(Item) -> bool,
    is_ended: bool,
    /// Bytes that the next item may still have.
    left: &'a Cell<usize>,
}

/// A document whose reading fails at an item that is too large, before it is all in memory.
struct Bounded<'a, R>(R, &'a Cell<usize>);

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        let left = self.1.get().checked_sub(read);
        self.1.set(left.ok_or_else(|| io::Error::other(ureq::Error::BodyExceedsLimit(SIZE_LIMIT as u64)))?);
        Ok(read)
    }
}

impl Items<'_> {
    fn hand_over<E: serde::de::Error>(&mut self, item: &RawValue) -> Result<(), E> {
        let item = serde_json::from_str(item.get()).map_err(|_| E::custom("not an item"))?;
        self.is_ended = !(self.each)(Item(item));
        self.left.set(SIZE_LIMIT);
        // An error is the only way to stop the deserializer.
        if self.is_ended { Err(E::custom("enough")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document with \"array\" or \"data\"")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<(), S::Error> {
        while let Some(item) = items.next_element::<Box<RawValue>>()? {
            self.hand_over(&item)?;
        }
        Ok(())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<(), M::Error> {
        let mut is_found = false;
        while let Some(name) = members.next_key::<String>()? {
            match name.to_ascii_lowercase().as_str() {
                "array" => members.next_value_seed(&mut *self)?,
                "data" => self.hand_over(&members.next_value::<Box<RawValue>>()?)?,
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            }
            is_found = true;
        }
        is_found.then_some(()).ok_or_else(|| M::Error::custom("it has neither \"array\" nor \"data\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-aaaa-4bbb-8ccc-000000000001";
    const PARENT: &str = "22222222-aaaa-4bbb-8ccc-000000000002";

    fn items(text: &str) -> Result<Vec<Item>, String> {
        let mut items = Vec::new();
        let each = &mut |item| {
            items.push(item);
            true
        };
        read(text.as_bytes(), each).map_err(|error| error.to_string())?;
        Ok(items)
    }

    #[test]
    fn p3_what_servers_write_is_read_whatever_its_types() {
        let text = format!(
            r#"{{ "array": [
                {{ "id": "{ID}", "enabled": true, "displayName": "A", "port": 7, "more": {{ "x": [1, {{}}] }},
                   "relations": {{ "parent": {{ "type": "hardware", "id": "{PARENT}" }}, "self": {{ "id": "{ID}" }} }} }},
                {{ "ID": 5, "Enabled": "False", "name": null, "Relations": {{ "Self": {{ "Id": "{ID}" }} }} }},
                {{ "enabled": 1, "displayName": [], "relations": 3, "version": {{ "id": 4 }} }}
            ], "more": [] }}"#
        );
        let items = items(&text).unwrap();
        let (id, parent) = (ID.parse().ok(), PARENT.parse().ok());
        assert_eq!((items[0].id(), items[0].parent(), items[0].flag("enabled")), (id, parent, Some(true)));
        assert_eq!((items[1].id(), items[1].parent(), items[1].flag("enabled")), (id, None, Some(false)));
        let last = &items[2];
        assert_eq!(
            (last.id(), last.parent(), last.flag("enabled"), last.text("displayName")),
            (None, None, None, None)
        );
    }

    #[test]
    fn p3_one_item_and_an_empty_list() {
        assert_eq!(items(r#"{"array":[]}"#).unwrap(), []);
        let option = items(r#"{"data":{"CollectTelemetryEnabled":"True"}}"#).unwrap();
        assert_eq!(option[0].flag("collectTelemetryEnabled"), Some(true));
        for doubled in [[true, false], [false, true]] {
            let [first, second] = doubled;
            let text =
                format!(r#"{{"data":{{"collectTelemetryEnabled":{first},"CollectTelemetryEnabled":{second}}}}}"#);
            assert_eq!(items(&text).unwrap()[0].flag("collectTelemetryEnabled"), Some(false));
        }
    }

    #[test]
    fn p3_what_is_no_answer_is_an_error() {
        for text in ["", "[", "{}", "7", "<html>", r#"{"array":7}"#, r#"{"array":[1]}"#, r#"{"array":[{"id":}]}"#] {
            assert!(items(text).is_err(), "{text}");
        }
        let deep = format!(r#"{{"array":[{{"relations":{}}}]}}"#, r#"{"self":"#.repeat(1_000));
        assert!(items(&deep).is_err());
        assert!(items(&"[".repeat(1_000_000)).is_err());
        let long = format!(r#"{{"array":[{{"name":"{}"}}]}}"#, "x".repeat(SIZE_LIMIT));
        assert!(items(&long).is_err());
    }

    #[test]
    fn reading_stops_when_no_more_is_wanted() {
        let mut count = 0;
        let each = &mut |_| {
            count += 1;
            count < 2
        };
        read(br#"{"array":[{},{},{},"#.as_slice(), each).unwrap();
        assert_eq!(count, 2);
    }
}
