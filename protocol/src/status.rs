//! A user's status: what shows of a user apart from any channel.

use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::error::{ErrorCode, Refusal};
use crate::name::UserId;

/// Largest `waitTime`, in minutes: a week.
pub const MAX_WAIT_MINUTES: u32 = 7 * 24 * 60;

/// Longest `text` of a status, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 256;

/// A user's status as somebody sees it. Times are in milliseconds since 1970 by the broker's wall
/// clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserStatus {
    /// Whose.
    pub user: UserId,
    /// Whether the user is there: by a connection, a lease, or a heartbeat over HTTP. Follows from
    /// these and is never set.
    pub online: bool,
    /// All that keeps the user online says that the user is away. Absent: not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub away: bool,
    /// The user appears offline to all others. Only the user is told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub invisible: bool,
    /// The user does not want to be disturbed, or is in a call.
    pub busy: bool,
    /// For how long the user will be busy, in minutes; absent if nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_WAIT_MINUTES)))]
    pub wait_time: Option<u32>,
    /// A line that the user wrote, at most 256 bytes of UTF-8 without control characters; absent if
    /// there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = MAX_TEXT_BYTES)))]
    pub text: Option<Box<str>>,
    /// Name, avatar and the like, as the user's token gave them; absent if it gave none.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub info: Attributes,
    /// When the user was last known to be there; absent if never. While a connection or a lease
    /// keeps the user online, that is the time of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<u64>,
    /// Since when the broker has known the user; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<u64>,
    /// When busy, waitTime, text or invisible were last set; absent if the user is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<u64>,
}

impl UserStatus {
    /// The status of a user of whom the broker knows nothing.
    #[must_use]
    pub fn unknown(user: UserId) -> Self {
        Self {
            user,
            online: false,
            away: false,
            invisible: false,
            busy: false,
            wait_time: None,
            text: None,
            info: Attributes::EMPTY,
            last_seen: None,
            created_at: None,
            updated_at: None,
        }
    }
}

/// What to change of a status. Fields that are absent stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = some_field))]
#[serde(rename_all = "camelCase")]
pub struct StatusPatch {
    /// Whether the user is busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy: Option<bool>,
    /// Whether the user appears offline to all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invisible: Option<bool>,
    /// For how long the user will be busy, in minutes; null: nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_WAIT_MINUTES)))]
    pub wait_time: Option<Option<u32>>,
    /// A line to show, at most 256 bytes of UTF-8 without control characters; null: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = MAX_TEXT_BYTES), regex(pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$"))
    )]
    pub text: Option<Option<Box<str>>>,
}

/// At least one field says something: null does so for two of them only.
#[cfg(feature = "schema")]
fn some_field(schema: &mut schemars::Schema) {
    let given = |field: &str| serde_json::json!({"required": [field]});
    let not_null = |field: &str| serde_json::json!({"required": [field], "properties": {field: {"type": "boolean"}}});
    let any = [not_null("busy"), not_null("invisible"), given("waitTime"), given("text")];
    schema.insert("anyOf".into(), any.to_vec().into());
}

impl StatusPatch {
    /// Refuses a patch that changes nothing, and values beyond their bounds.
    ///
    /// # Errors
    /// `missing_field`, `invalid_field`.
    pub fn check(self) -> Result<Self, Refusal> {
        if self == Self::default() {
            return Err(Refusal::new(
                ErrorCode::MissingField,
                "no status field to set: give busy, invisible, waitTime or text",
            ));
        }
        if self.wait_time.flatten().is_some_and(|minutes| minutes > MAX_WAIT_MINUTES) {
            let rule = format_args!("must be null or a whole number from 0 to {MAX_WAIT_MINUTES}");
            return Err(Refusal::invalid("waitTime", rule));
        }
        let bad = |text: &str| text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control);
        if self.text.as_ref().and_then(|text| text.as_deref()).is_some_and(bad) {
            let rule = format_args!(
                "must be null or at most {MAX_TEXT_BYTES} bytes of UTF-8 without control characters"
            );
            return Err(Refusal::invalid("text", rule));
        }
        Ok(self)
    }
}
