//! A presence record, and the member of the channel of records that it is.

use herenow_protocol::{AttributeMap, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::permissions::Permissions;
use super::times::Shown;
use crate::presence::Member;

/// How a record was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// By a request.
    Rest,
    /// On a WebSocket, with which it ends.
    Realtime,
}

/// What an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Written whole, or come into sight.
    Upsert,
    /// Written in part.
    Update,
    /// Gone, or out of sight.
    Delete,
}

impl Action {
    /// As events name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upsert => "upsert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A presence record, apart from whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its id, which stays as long as the record.
    pub id: String,
    /// Who may do what with it, as it was given.
    pub permissions: Permissions,
    /// How it was written last.
    pub source: Source,
    /// By which action.
    pub last: Action,
    /// When it was first written, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was last written.
    pub updated_ms: u64,
    /// When it ends unless it is written again.
    pub expires_ms: u64,
    /// What the user is doing.
    pub status: String,
    /// Whatever else the user tells.
    pub metadata: Map<String, Value>,
}

/// The member's attributes. No client can write them, since nobody joins the channel.
#[derive(Deserialize, Serialize)]
struct Stored<'a> {
    #[serde(rename = "$record", borrow)]
    kept: Kept<'a>,
    metadata: Map<String, Value>,
    status: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
    permissions: Vec<String>,
    source: Source,
    last: Action,
    created_at: u64,
    updated_at: u64,
    expires_at: u64,
}

/// A record as it is told: all of it, or what was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Presence {
    #[serde(rename = "$id")]
    id: String,
    #[serde(rename = "$createdAt", skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(rename = "$updatedAt", skip_serializing_if = "Option::is_none")]
    updated: Option<String>,
    #[serde(rename = "$permissions", skip_serializing_if = "Option::is_none")]
    permissions: Option<Vec<String>>,
    #[serde(rename = "userId", skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(rename = "expiresAt", skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
}

impl Presence {
    /// Of it what `names` name, and its id.
    #[must_use]
    pub fn select(self, names: &[String]) -> Self {
        let wanted = |name: &str| names.iter().any(|one| one == name || one == "*");
        Self {
            id: self.id,
            created: self.created.filter(|_| wanted("$createdAt")),
            updated: self.updated.filter(|_| wanted("$updatedAt")),
            permissions: self.permissions.filter(|_| wanted("$permissions")),
            user: self.user.filter(|_| wanted("userId")),
            status: self.status.filter(|_| wanted("status")),
            source: self.source.filter(|_| wanted("source")),
            expires: self.expires.filter(|_| wanted("expiresAt")),
            metadata: self.metadata.filter(|_| wanted("metadata")),
        }
    }
}

impl Record {
    /// The record that a member is; `None`: it is none, whoever made it a member.
    #[must_use]
    pub fn of(member: &Member) -> Option<Self> {
        let Stored { kept, metadata, status } =
            serde_json::from_str(member.attributes.as_str()).ok()?;
        Some(Self {
            id: kept.id.into_owned(),
            permissions: Permissions::saved(kept.permissions),
            source: kept.source,
            last: kept.last,
            created_ms: kept.created_at,
            updated_ms: kept.updated_at,
            expires_ms: kept.expires_at,
            status,
            metadata,
        })
    }

    /// Whether the member is the record with that id.
    #[must_use]
    pub fn is_of(member: &Member, id: &str) -> bool {
        #[derive(Deserialize)]
        struct Only<'a> {
            #[serde(rename = "$record", borrow)]
            kept: OnlyId<'a>,
        }
        #[derive(Deserialize)]
        struct OnlyId<'a> {
            #[serde(borrow)]
            id: std::borrow::Cow<'a, str>,
        }
        let only = serde_json::from_str::<Only<'_>>(member.attributes.as_str());
        only.is_ok_and(|only| only.kept.id == id)
    }

    /// The attributes that it is kept in.
    #[must_use]
    pub fn attributes(&self) -> AttributeMap {
        let stored = Stored {
            kept: Kept {
                id: self.id.as_str().into(),
                permissions: self.permissions.as_slice().to_vec(),
                source: self.source,
                last: self.last,
                created_at: self.created_ms,
                updated_at: self.updated_ms,
                expires_at: self.expires_ms,
            },
            metadata: self.metadata.clone(),
            status: self.status.clone(),
        };
        match serde_json::to_value(stored) {
            Ok(Value::Object(map)) => map,
            // Strings, numbers and maps of values always serialize.
            _ => AttributeMap::new(),
        }
    }

    /// The record of `user` as it is told.
    #[must_use]
    pub fn shown(&self, user: &UserId) -> Presence {
        Presence {
            id: self.id.clone(),
            created: Some(Shown(self.created_ms).to_string()),
            updated: Some(Shown(self.updated_ms).to_string()),
            permissions: Some(self.permissions.as_slice().to_vec()),
            user: Some(user.clone()),
            status: Some(self.status.clone()),
            source: Some(self.source),
            expires: Some(Shown(self.expires_ms).to_string()),
            metadata: Some(self.metadata.clone()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use herenow_protocol::{Attributes, Audience};
    use serde_json::json;

    use super::*;
    use crate::presence::Profile;

    pub(in super::super) fn record(id: &str, permissions: &[&str]) -> (Record, Audience) {
        let given = permissions.iter().map(|&one| one.to_owned()).collect();
        let (permissions, audience) = Permissions::parse(given).unwrap();
        let metadata = json!({ "page": "/d\"x" }).as_object().unwrap().clone();
        let record = Record {
            id: id.into(),
            permissions,
            source: Source::Rest,
            last: Action::Upsert,
            created_ms: 1_795_348_463_475,
            updated_ms: 1_795_348_463_476,
            expires_ms: 1_795_348_463_999,
            status: "on\nline".into(),
            metadata,
        };
        (record, audience)
    }

    pub(in super::super) fn member(
        user: &str,
        (record, visible_to): &(Record, Audience),
    ) -> Member {
        let profile = Profile { info: Attributes::EMPTY, visible_to: visible_to.clone() };
        Member {
            user: UserId::parse(user, "user").unwrap(),
            attributes: Attributes::from_map(&record.attributes()),
            away: false,
            joined_at: 0,
            number: 1,
            profile: Some(Arc::new(profile)),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_kept() {
        let kept = record("p\u{e4}1", &[r#"read("users")"#]);
        let member = member("ada", &kept);
        assert_eq!(Record::of(&member).unwrap(), kept.0);
        assert!(Record::is_of(&member, "p\u{e4}1") && !Record::is_of(&member, "p"));
    }

    #[test]
    fn it_is_told_in_the_order_that_appwrite_has() {
        let (record, _) = record("p1", &[r#"read("users")"#]);
        let shown = record.shown(&UserId::parse("u1", "user").unwrap());
        assert_eq!(
            serde_json::to_string(&shown).unwrap(),
            "{\"$id\":\"p1\",\"$createdAt\":\"2026-11-22T11:54:23.475+00:00\",\
             \"$updatedAt\":\"2026-11-22T11:54:23.476+00:00\",\
             \"$permissions\":[\"read(\\\"users\\\")\"],\"userId\":\"u1\",\"status\":\"on\\nline\",\
             \"source\":\"rest\",\"expiresAt\":\"2026-11-22T11:54:23.999+00:00\",\
             \"metadata\":{\"page\":\"/d\\\"x\"}}"
        );
    }
}
