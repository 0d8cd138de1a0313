//! Roles of keys, and what a request needs of them.

use serde::{Deserialize, Serialize};

/// What a key may do.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = ApiKeyRole)]
pub enum Role {
    /// Sends telemetry and events; reads nothing.
    Device,
    /// Reads everything but keys, and asks what leaves no trace: predictions, what-ifs, goal seek.
    Reader,
    /// As a reader, and acts: telemetry, events, labels, desired values, scenarios, alarms, jobs, imports.
    Operator,
    /// Everything: also asset types, assets, relationships, alarm rules, and keys.
    Admin,
}

/// Every role, the weakest first.
pub const ROLES: [Role; 4] = [Role::Device, Role::Reader, Role::Operator, Role::Admin];

impl Role {
    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing: it is for everybody.
    Open,
    /// A key, whatever its role.
    Any,
    /// To send what was measured or happened.
    Send,
    /// To read, or to ask what leaves no trace.
    Read,
    /// To act on what there is.
    Operate,
    /// To change what there is.
    Administer,
}

impl Right {
    /// The roles that have it.
    #[must_use]
    pub fn roles(self) -> &'static [Role] {
        match self {
            Self::Open | Self::Any => &ROLES,
            Self::Send => &[Role::Device, Role::Operator, Role::Admin],
            Self::Read => &[Role::Reader, Role::Operator, Role::Admin],
            Self::Operate => &[Role::Operator, Role::Admin],
            Self::Administer => &[Role::Admin],
        }
    }

    /// The roles that have it, in words.
    #[must_use]
    pub fn in_words(self) -> String {
        let names: Vec<&str> = self.roles().iter().map(|role| role.name()).collect();
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_told_in_words() {
        assert_eq!(Right::Administer.in_words(), "admin");
        assert_eq!(Right::Operate.in_words(), "operator or admin");
        assert_eq!(Right::Send.in_words(), "device, operator or admin");
    }

    #[test]
    fn an_admin_may_do_everything_and_a_device_reads_nothing() {
        for right in [Right::Open, Right::Any, Right::Send, Right::Read, Right::Operate, Right::Administer] {
            assert!(right.roles().contains(&Role::Admin), "{right:?}");
        }
        for right in [Right::Read, Right::Operate, Right::Administer] {
            assert!(!right.roles().contains(&Role::Device), "{right:?}");
        }
    }
}
