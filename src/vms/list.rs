//! Reads the answers of the configuration REST API: lists (`{"array":[…]}`) and single items (`{"data":{…}}`).
//!
//! An answer is read as a stream, item by item, so no list is ever held whole, and of an item nothing is kept but the few
//! members of [`Item`]. Servers differ in the types and the case of members; what has an unexpected type counts as absent.

use std::fmt;
use std::io::Read;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer as Json;
use uuid::Uuid;

/// The members of an item that are ever looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// `id`, else `relations.self.id`.
    pub id: Option<Uuid>,
    /// `relations.parent.id`.
    pub parent: Option<Uuid>,
    /// `enabled`.
    pub enabled: Option<bool>,
    /// `displayName`.
    pub display_name: Option<String>,
    /// `name`.
    pub name: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// `productDisplayName` of a licence.
    pub product: Option<String>,
    /// `pluginId` of a licence.
    pub plugin: Option<Uuid>,
    /// `collectTelemetryEnabled` of the privacy option.
    pub collects_usage_data: Option<bool>,
}

/// Reads a document and hands each of its items over; the answer of `each` says whether to go on.
///
/// # Errors
/// What is wrong with the document, with line and column and no value of it. Items before that were handed over.
pub fn read(document: impl Read, each: &mut dyn FnMut(Item) -> bool) -> Result<(), serde_json::Error> {
    let mut json = Json::from_reader(document);
    let mut stopped = false;
    let outcome = Root { each, stopped: &mut stopped }.deserialize(&mut json);
    if stopped { Ok(()) } else { outcome.and_then(|()| json.end()) }
}

struct Root<'a> {
    each: &'a mut dyn FnMut(Item) -> bool,
    stopped: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer with \"array\" or \"data\"")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut members: M) -> Result<(), M::Error> {
        let mut found = false;
        while let Some(name) = members.next_key::<String>()? {
            match name.to_ascii_lowercase().as_str() {
                "array" => members.next_value_seed(Array(&mut self))?,
                "data" => {
                    let item = members.next_value_seed(OneItem)?;
                    self.hand_over(item)?;
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
            }
            found = true;
        }
        found.then_some(()).ok_or_else(|| M::Error::custom("it has neither \"array\" nor \"data\""))
    }
}

impl Root<'_> {
    fn hand_over<E: serde::de::Error>(&mut self, item: Item) -> Result<(), E> {
        *self.stopped = !(self.each)(item);
        // The only way out of a document whose rest nobody wants to read.
        if *self.stopped { Err(E::custom("enough")) } else { Ok(()) }
    }
}

struct Array<'a, 'b>(&'a mut Root<'b>);

impl<'de> DeserializeSeed<'de> for Array<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Array<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<(), S::Error> {
        while let Some(item) = items.next_element_seed(OneItem)? {
            self.0.hand_over(item)?;
        }
        Ok(())
    }
}

struct OneItem;

impl<'de> DeserializeSeed<'de> for OneItem {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneItem {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Item, M::Error> {
        let (mut item, mut own) = (Item::default(), None);
        while let Some(name) = members.next_key::<String>()? {
            let mut value = || members.next_value_seed(Loose);
            match name.to_ascii_lowercase().as_str() {
                "id" => item.id = value()?.id(),
                "enabled" => item.enabled = value()?.truth(),
                "displayname" => item.display_name = value()?.text(),
                "name" => item.name = value()?.text(),
                "version" => item.version = value()?.text(),
                "productdisplayname" => item.product = value()?.text(),
                "pluginid" => item.plugin = value()?.id(),
                "collecttelemetryenabled" => {
                    // Where there are two, one no is enough.
                    item.collects_usage_data = value()?.truth().map(|on| on && item.collects_usage_data != Some(false));
                }
                "relations" => {
                    if let Value::Relations { this, parent } = value()? {
                        (own, item.parent) = (this, parent);
                    }
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        item.id = item.id.or(own);
        Ok(item)
    }
}

/// A value of whatever type.
enum Value {
    Text(String),
    Flag(bool),
    /// An object, of which only relations are of interest.
    Relations {
        this: Option<Uuid>,
        parent: Option<Uuid>,
    },
    /// `{"type": …, "id": …}`.
    Relation(Option<Uuid>),
    Other,
}

impl Value {
    fn text(self) -> Option<String> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn id(&self) -> Option<Uuid> {
        match self {
            Self::Text(text) => Uuid::try_parse(text).ok(),
            Self::Relation(id) => *id,
            _ => None,
        }
    }

    fn truth(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Self::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

/// Reads a value of whatever type, and keeps the few kinds that are of use.
struct Loose;

impl<'de> DeserializeSeed<'de> for Loose {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Loose {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Value, S::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Value, M::Error> {
        let (mut this, mut parent, mut id) = (None, None, None);
        while let Some(name) = members.next_key::<String>()? {
            match name.to_ascii_lowercase().as_str() {
                "self" => this = members.next_value_seed(Loose)?.id(),
                "parent" => parent = members.next_value_seed(Loose)?.id(),
                "id" => id = members.next_value_seed(Loose)?.id(),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(if id.is_some() { Value::Relation(id) } else { Value::Relations { this, parent } })
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
                {{ "ID": 5, "Enabled": "False", "name": null, "relations": {{ "self": {{ "id": "{ID}" }} }} }},
                {{ "enabled": 1, "displayName": [], "relations": 3, "version": {{ "id": 4 }} }}
            ], "more": [] }}"#
        );
        let items = items(&text).unwrap();
        let (id, parent) = (ID.parse().ok(), PARENT.parse().ok());
        assert_eq!((items[0].id, items[0].parent, items[0].enabled), (id, parent, Some(true)));
        assert_eq!((items[1].id, items[1].parent, items[1].enabled), (id, None, Some(false)));
        assert_eq!(items[2], Item::default());
    }

    #[test]
    fn p3_one_item_and_an_empty_list() {
        assert_eq!(items(r#"{"array":[]}"#).unwrap(), []);
        let option = items(r#"{"data":{"CollectTelemetryEnabled":"True"}}"#).unwrap();
        assert_eq!(option[0].collects_usage_data, Some(true));
        for doubled in [[true, false], [false, true]] {
            let [first, second] = doubled;
            let text =
                format!(r#"{{"data":{{"collectTelemetryEnabled":{first},"CollectTelemetryEnabled":{second}}}}}"#);
            assert_eq!(items(&text).unwrap()[0].collects_usage_data, Some(false));
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
    }

    #[test]
    fn reading_stops_where_nobody_wants_more() {
        let mut count = 0;
        let each = &mut |_| {
            count += 1;
            count < 2
        };
        read(br#"{"array":[{},{},{},"#.as_slice(), each).unwrap();
        assert_eq!(count, 2);
    }
}
