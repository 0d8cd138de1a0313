//! The limits that alarm rules have, as a risk looks at them.

use sqlx::PgExecutor;

use crate::ids::AssetId;

/// The limit of a rule on an output.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(super) struct RuleLimit {
    pub(super) name: String,
    pub(super) signal: String,
    /// Whether it must not be exceeded, or else not fallen below.
    pub(super) above: bool,
    pub(super) value: f64,
}

/// Limits of the enabled rules of an asset that watch readings or forecasts of a signal.
pub(super) async fn limits(db: impl PgExecutor<'_>, asset: AssetId) -> sqlx::Result<Vec<RuleLimit>> {
    sqlx::query_as(
        "select name, signal, condition = 'above' as above, limit_value as value from alarm_rule
         where asset_id = $1 and enabled and condition in ('above', 'below') and source in ('measured', 'predicted')
             and signal is not null and limit_value is not null
         order by id",
    )
    .bind(asset)
    .fetch_all(db)
    .await
}
