//! What became of a request and of each of its items, as judged and as a script may then change it.

use serde::Serialize;
use serde_json::{Value, json};

use loopback::Answer;

/// What became of a request.
pub(crate) struct Verdict {
    /// The status to answer with; 0 if there is no answer.
    pub(crate) status: u16,
    pub(crate) plain_bytes: usize,
    /// How many items the request held; 0 if it was refused as a whole.
    pub(crate) count: usize,
    /// The items, or in place of them a null if the whole was refused.
    pub(crate) items: Vec<Value>,
    /// Why items were refused, in the form of the answer; an index may lie behind the last item.
    pub(crate) errors: Vec<Refusal>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refusal {
    pub(crate) index: usize,
    pub(crate) status_code: u16,
    pub(crate) message: String,
}

/// Refuses a request as a whole, in the form of the service.
pub(crate) fn refusal(status: u16, message: &str) -> Answer {
    Verdict { items: Vec::new(), ..Verdict::whole(status, 0, message) }.answer()
}

impl Verdict {
    /// Refuses a request that no items can be read from.
    pub(crate) fn whole(status: u16, plain_bytes: usize, message: &str) -> Self {
        let error = Refusal { index: 0, status_code: status, message: message.to_owned() };
        Self { status, plain_bytes, count: 0, items: vec![Value::Null], errors: vec![error] }
    }

    /// Returns why the item was refused.
    pub(crate) fn refusal(&self, index: usize) -> Option<&str> {
        self.errors.iter().find(|error| error.index == index).map(|error| error.message.as_str())
    }

    /// Returns the first item's instrumentation key, else empty.
    pub(crate) fn ikey(&self) -> &str {
        self.items.first().and_then(|item| item.get("iKey")).and_then(Value::as_str).unwrap_or_default()
    }

    /// Answers with this status instead, which takes no item unless it says success.
    pub(crate) fn decide(&mut self, status: u16) {
        self.status = status;
        if status >= 300 {
            self.refuse_all(status, "scripted: the request was refused");
        }
    }

    /// Takes no item and gives no whole answer.
    pub(crate) fn ignore(&mut self) {
        self.status = 0;
        self.refuse_all(0, "scripted: the request was not answered");
    }

    /// Answers 206 and refuses these items too, each with its status.
    pub(crate) fn refuse(&mut self, items: &[(usize, u16)]) {
        self.status = 206;
        for &(index, status_code) in items {
            self.errors.retain(|error| error.index != index);
            self.errors.push(Refusal { index, status_code, message: format!("scripted: refused with {status_code}") });
        }
    }

    fn refuse_all(&mut self, status_code: u16, message: &str) {
        let refusal = |index| Refusal { index, status_code, message: message.to_owned() };
        self.errors = (0..self.items.len()).map(refusal).collect();
    }

    pub(crate) fn answer(&self) -> Answer {
        let accepted = (0..self.items.len()).filter(|index| self.refusal(*index).is_none()).count();
        let body = json!({ "itemsReceived": self.count, "itemsAccepted": accepted, "errors": self.errors });
        Answer::json(self.status, &body)
    }
}
