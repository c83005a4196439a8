//! One page of records, by what the queries ask for.

use std::cmp::Ordering;
use std::sync::Arc;

use super::fault::Fault;
use super::query::{Field, Filter, Key, Query, Side};
use super::record::{Presence, Record};
use super::who::Who;
use crate::limits::{APPWRITE_LIST_BYTES, APPWRITE_LIST_DEFAULT, APPWRITE_QUERIES};
use crate::presence::Member;

/// What is asked for.
#[derive(Debug)]
pub struct Listing {
    filters: Vec<Filter>,
    orders: Vec<(Field, bool)>,
    limit: u64,
    offset: u64,
    cursor: Option<(String, Side)>,
    select: Option<Vec<String>>,
    found: Vec<Found>,
    /// Where the cursor stands.
    at: Option<Vec<Key>>,
}

/// A record that is meant, as its place in the list.
#[derive(Debug)]
struct Found {
    keys: Vec<Key>,
    member: Arc<Member>,
}

impl Listing {
    /// What these queries ask for.
    ///
    /// # Errors
    /// `general_query_invalid`.
    pub fn parse<'a>(queries: impl IntoIterator<Item = &'a str>) -> Result<Self, Fault> {
        let mut listing = Self {
            filters: Vec::new(),
            orders: Vec::new(),
            limit: APPWRITE_LIST_DEFAULT,
            offset: 0,
            cursor: None,
            select: None,
            found: Vec::new(),
            at: None,
        };
        for (number, text) in queries.into_iter().enumerate() {
            if number == APPWRITE_QUERIES {
                let rule = format!("Invalid query: must be at most {APPWRITE_QUERIES} queries.");
                return Err(Fault::query(rule));
            }
            match Query::parse(text).map_err(Fault::query)? {
                Query::Filter(filter) => listing.filters.push(filter),
                Query::Limit(limit) => listing.limit = limit,
                Query::Offset(offset) => listing.offset = offset,
                Query::Order(field, descending) => listing.orders.push((field, descending)),
                Query::Cursor(id, side) => listing.cursor = Some((id, side)),
                Query::Select(names) => listing.select.get_or_insert_default().extend(names),
            }
        }
        Ok(listing)
    }

    /// Notes a member, if it is a record that `who` may read and that is meant.
    pub fn look(&mut self, who: &Who, member: Arc<Member>) {
        let Some(record) = Record::of(&member).filter(|record| who.sees(&member, record)) else {
            return;
        };
        let user = &member.user;
        let is_cursor = self.cursor.as_ref().is_some_and(|(id, _)| *id == record.id);
        let meant = self.filters.iter().all(|filter| filter.means(user, &record));
        if !is_cursor && !meant {
            return;
        }
        // In the order in which they came to be, where nothing else is said.
        let fields = self.orders.iter().map(|(field, _)| *field);
        let fields = fields.chain([Field::Created, Field::Id]);
        let keys: Vec<_> = fields.map(|field| field.of(user, &record)).collect();
        if is_cursor {
            self.at = Some(keys.clone());
        }
        if meant {
            self.found.push(Found { keys, member });
        }
    }

    /// How many are meant, and those of the page.
    ///
    /// # Errors
    /// `general_cursor_not_found`.
    pub fn page(mut self) -> Result<(usize, Vec<Presence>), Fault> {
        let total = self.found.len();
        let orders = std::mem::take(&mut self.orders);
        let in_order = |a: &[Key], b: &[Key]| compare(&orders, a, b);
        self.found.sort_by(|a, b| in_order(&a.keys, &b.keys));
        let found = match (&self.cursor, &self.at) {
            (None, _) => &self.found[..],
            (Some(_), None) => return Err(Fault::cursor()),
            (Some((_, Side::After)), Some(at)) => {
                let first = self.found.partition_point(|one| in_order(&one.keys, at).is_le());
                &self.found[first..]
            }
            (Some((_, Side::Before)), Some(at)) => {
                let end = self.found.partition_point(|one| in_order(&one.keys, at).is_lt());
                let most = usize::try_from(self.limit + self.offset).unwrap_or(usize::MAX);
                &self.found[end.saturating_sub(most)..end]
            }
        };
        let before = matches!(self.cursor, Some((_, Side::Before)));
        // Those nearest to the cursor are passed over.
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX).min(found.len());
        let found = if before { &found[..found.len() - offset] } else { &found[offset..] };
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let (mut bytes, mut page) = (0, Vec::new());
        for Found { member, .. } in found.iter().take(limit) {
            bytes += member.bytes();
            if bytes > APPWRITE_LIST_BYTES && !page.is_empty() {
                break;
            }
            page.extend(self.shown(member));
        }
        Ok((total, page))
    }

    fn shown(&self, member: &Member) -> Option<Presence> {
        let shown = Record::of(member)?.shown(&member.user);
        Some(match &self.select {
            Some(names) => shown.select(names),
            None => shown,
        })
    }
}

/// How two stand to each other, by the first key in which they differ.
fn compare(orders: &[(Field, bool)], a: &[Key], b: &[Key]) -> Ordering {
    let descending = orders.iter().map(|(_, descending)| *descending);
    // Ties run the way that the last order does.
    let rest = std::iter::repeat(orders.last().is_some_and(|(_, descending)| *descending));
    a.iter()
        .zip(b)
        .zip(descending.chain(rest))
        .map(|((a, b), descending)| if descending { b.cmp(a) } else { a.cmp(b) })
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Credential;
    use crate::vendors::appwrite::record::tests::{member, record};

    fn list(queries: &[&str]) -> Result<(usize, Vec<String>), Fault> {
        let mut listing = Listing::parse(queries.iter().copied())?;
        let who = Who::of(&Credential::Broker);
        // Newest first, as a channel has them.
        for n in (1..=5_u64).rev() {
            let (mut one, audience) = record(&format!("p{n}"), &[r#"read("users")"#]);
            (one.created_ms, one.status) = (n, if n % 2 == 0 { "even" } else { "odd" }.into());
            listing.look(&who, Arc::new(member(&format!("u{n}"), &(one, audience))));
        }
        let (total, page) = listing.page()?;
        let page = serde_json::to_value(page).unwrap();
        let ids =
            page.as_array().unwrap().iter().map(|one| one["$id"].as_str().unwrap().to_owned());
        Ok((total, ids.collect()))
    }

    const LIMIT_2: &str = r#"{"method":"limit","values":[2]}"#;
    const ODD: &str = r#"{"method":"equal","attribute":"status","values":["odd"]}"#;

    fn ids(queries: &[&str]) -> Vec<String> {
        list(queries).unwrap().1
    }

    #[test]
    fn order_limit_offset_and_filters() {
        assert_eq!(list(&[]).unwrap(), (5, ["p1", "p2", "p3", "p4", "p5"].map(Into::into).into()));
        assert_eq!(list(&[LIMIT_2]).unwrap(), (5, vec!["p1".into(), "p2".into()]));
        assert_eq!(list(&[ODD, LIMIT_2]).unwrap(), (3, vec!["p1".into(), "p3".into()]));
        let by_user = r#"{"method":"orderDesc","attribute":"userId"}"#;
        assert_eq!(ids(&[by_user, LIMIT_2]), ["p5", "p4"]);
        assert_eq!(ids(&[r#"{"method":"offset","values":[3]}"#]), ["p4", "p5"]);
        assert_eq!(ids(&[r#"{"method":"offset","values":[9]}"#]), [""; 0]);
        let by_status = r#"{"method":"orderAsc","attribute":"status"}"#;
        assert_eq!(ids(&[by_status]), ["p2", "p4", "p1", "p3", "p5"]);
    }

    #[test]
    fn cursors_lead_on_and_back() {
        let after = |id: &str| format!(r#"{{"method":"cursorAfter","values":["{id}"]}}"#);
        let before = |id: &str| format!(r#"{{"method":"cursorBefore","values":["{id}"]}}"#);
        assert_eq!(ids(&[&after("p2"), LIMIT_2]), ["p3", "p4"]);
        assert_eq!(ids(&[&after("p5")]), [""; 0]);
        assert_eq!(ids(&[&before("p4"), LIMIT_2]), ["p2", "p3"]);
        assert_eq!(ids(&[ODD, &after("p2")]), ["p3", "p5"], "a cursor that is not meant");
        for cursor in [after("p9"), before("")] {
            assert_eq!(list(&[&cursor]).unwrap_err().kind, "general_cursor_not_found");
        }
    }

    #[test]
    fn too_many_queries_are_refused() {
        let many = vec![LIMIT_2; APPWRITE_QUERIES + 1];
        assert_eq!(list(&many).unwrap_err().kind, "general_query_invalid");
    }
}
