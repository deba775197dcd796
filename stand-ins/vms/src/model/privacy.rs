//! The privacy option: the tool option that says whether usage data may be collected.

use serde::Deserialize;

/// What the privacy option looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Privacy {
    /// Checked: data may be collected.
    #[default]
    On,
    /// Unchecked.
    Off,
    /// Checked, as `"True"`.
    OnAsText,
    /// Unchecked, as `"False"`.
    OffAsText,
    /// Checked; only the list has it, its own address is a 404.
    ListOnlyOn,
    /// Unchecked; only the list has it, its own address is a 404.
    ListOnlyOff,
    /// Unchecked; only the list has it, and without any id.
    ListOnlyOffWithoutId,
    /// The list can be read and lacks it.
    ItemMissing,
    /// The option is there, its value is not.
    PropertyMissing,
    /// Its value is neither a boolean nor text.
    WrongType,
    /// The server has no tool options.
    ResourceUnknown,
    /// 403.
    Forbidden,
    /// 500, with plain text.
    ServerError,
    /// 200, with half a document.
    Malformed,
}
