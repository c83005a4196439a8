//! Permissions as Appwrite writes them, and whom they let read: `read("team:blue")`.

use herenow_protocol::{Audience, UserId};

use crate::limits::{APPWRITE_PERMISSIONS, APPWRITE_PERMISSIONS_BYTES};

/// What may be permitted. `write` stands for changing and deleting, which the owner alone may here.
const ACTIONS: [&str; 4] = ["read", "update", "delete", "write"];

/// A record's permissions, as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions(Vec<String>);

impl Permissions {
    /// The permissions of a list, and who may read by them.
    ///
    /// # Errors
    /// The rule that one of them breaks.
    pub fn parse(given: Vec<String>) -> Result<(Self, Audience), String> {
        let bytes: usize = given.iter().map(String::len).sum();
        if given.len() > APPWRITE_PERMISSIONS || bytes > APPWRITE_PERMISSIONS_BYTES {
            return Err(format!(
                "Invalid `permissions` param: must be at most {APPWRITE_PERMISSIONS} permissions \
                 and {APPWRITE_PERMISSIONS_BYTES} bytes."
            ));
        }
        let mut readers = Vec::new();
        for permission in &given {
            let (action, role) = split(permission).ok_or_else(|| broken(permission))?;
            let reader = reader_of(role).ok_or_else(|| broken(permission))?;
            if action == "read" {
                readers.push(reader);
            }
        }
        let readers = Audience::parse(readers.iter().map(String::as_str)).map_err(|refusal| {
            let rule = refusal.message.strip_prefix("visibleTo ").unwrap_or(&refusal.message);
            format!("Invalid `permissions` param: those who may read {rule}.")
        })?;
        Ok((Self(given), readers))
    }

    /// Those of a record of which nothing was said: its owner alone may do anything.
    #[must_use]
    pub fn of_owner(user: &UserId) -> (Self, Audience) {
        let permit = |action| format!("{action}(\"user:{user}\")");
        let given = ["read", "update", "delete"].map(permit).to_vec();
        (Self(given), Audience::parse([]).unwrap_or_default())
    }

    /// Those that were saved with a record.
    #[must_use]
    pub fn saved(given: Vec<String>) -> Self {
        Self(given)
    }

    /// As they were given.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Whether whoever has not signed in may read. Our audience does not say: there `users` means
    /// everyone.
    #[must_use]
    pub fn let_guests_read(&self) -> bool {
        self.0.iter().any(|one| matches!(split(one), Some(("read", "any" | "guests"))))
    }
}

fn broken(permission: &str) -> String {
    let shown: String = permission.chars().take(80).collect();
    format!(
        "Invalid `permissions` param: {shown:?} must be read, update, delete or write of a role, as \
         read(\"users\")."
    )
}

/// The action and the role of `read("users")`.
fn split(permission: &str) -> Option<(&str, &str)> {
    let (action, rest) = permission.split_once("(\"")?;
    let role = rest.strip_suffix("\")")?;
    ACTIONS.contains(&action).then_some((action, role))
}

/// What stands for the role in an audience: `user:ID` whether or not verified, others as they are.
fn reader_of(role: &str) -> Option<String> {
    const PLAIN: [&str; 5] = ["any", "guests", "users", "users/verified", "users/unverified"];
    let names = |text: &str| !text.is_empty() && !text.contains(['"', '(', ')']);
    let Some((kind, id)) = role.split_once(':') else {
        return PLAIN.contains(&role).then(|| role.to_owned());
    };
    match kind {
        "user" => {
            let (name, state) = id.split_once('/').map_or((id, None), |(id, s)| (id, Some(s)));
            let whole = state.is_none_or(|state| matches!(state, "verified" | "unverified"));
            // A name of ours may have a / in it.
            let name = if whole { name } else { id };
            UserId::parse(name, "user").ok().map(|user| format!("user:{user}"))
        }
        "team" => {
            let (team, role) = id.split_once('/').map_or((id, "-"), |parts| parts);
            (names(team) && names(role)).then(|| role_text(kind, id))
        }
        "member" | "label" => names(id).then(|| role_text(kind, id)),
        _ => None,
    }
}

fn role_text(kind: &str, id: &str) -> String {
    format!("{kind}:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &[&str]) -> Result<(Permissions, Audience), String> {
        Permissions::parse(given.iter().map(|&one| one.to_owned()).collect())
    }

    fn readers(given: &[&str]) -> Vec<String> {
        let (_, audience) = parse(given).unwrap();
        audience.roles().unwrap().iter().map(|role| role.as_str().to_owned()).collect()
    }

    #[test]
    fn whoever_may_read_is_the_audience_and_nobody_else() {
        for everyone in [r#"read("any")"#, r#"read("users")"#] {
            assert!(parse(&[everyone, r#"read("user:ada")"#]).unwrap().1.is_everyone());
        }
        let given = [
            r#"read("user:ada")"#,
            r#"read("user:bob/verified")"#,
            r#"read("team:blue")"#,
            r#"read("team:blue/owner")"#,
            r#"read("member:m1")"#,
            r#"read("label:vip")"#,
            r#"read("users/verified")"#,
            r#"read("guests")"#,
            r#"update("any")"#,
            r#"write("users")"#,
            r#"delete("user:eve")"#,
        ];
        assert_eq!(
            readers(&given),
            [
                "guests",
                "label:vip",
                "member:m1",
                "team:blue",
                "team:blue/owner",
                "user:ada",
                "user:bob",
                "users/verified",
            ]
        );
        assert_eq!(parse(&given).unwrap().0.as_slice(), given);
        assert_eq!(readers(&[]), [""; 0], "nobody but the owner");
    }

    #[test]
    fn guests_read_what_is_for_any_and_for_guests() {
        let lets = |given: &[&str]| parse(given).unwrap().0.let_guests_read();
        assert!(lets(&[r#"read("any")"#]) && lets(&[r#"read("user:a")"#, r#"read("guests")"#]));
        assert!(
            !lets(&[r#"read("users")"#, r#"write("any")"#, r#"update("guests")"#]) && !lets(&[])
        );
    }

    #[test]
    fn broken_ones_are_refused() {
        for broken in [
            "",
            "read",
            "any",
            r"read(any)",
            r#"read("")"#,
            r#"peek("any")"#,
            r#"create("any")"#,
            r#"read("everyone")"#,
            r#"read("user:")"#,
            r#"read("user:$nobody")"#,
            r#"read("team:")"#,
            r#"read("team:blue/")"#,
            r#"read("label:")"#,
            r#"read("any"#,
            r#" read("any")"#,
            r#"read("any","users")"#,
            r#"read("other:x")"#,
        ] {
            assert!(parse(&[broken]).is_err(), "{broken}");
        }
        let many: Vec<_> = (0..33).map(|n| format!("read(\"label:l{n}\")")).collect();
        assert!(Permissions::parse(many).unwrap_err().contains("32"));
        let more = vec![r#"read("any")"#.to_owned(); APPWRITE_PERMISSIONS + 1];
        assert!(Permissions::parse(more).is_err());
    }
}
