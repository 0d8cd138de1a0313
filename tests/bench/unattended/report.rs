//! What came of the day: every promise of the issue beside its figure.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use counterpart::forecast::Duel;
use counterpart::ids::{AssetId, ModelId};
use counterpart::score::{Paired, paired_block_bootstrap};
use counterpart::server::Rooms;
use sqlx::PgPool;

use crate::trouble::{STEP_S, Site, instant};

/// Share by which a promotion may raise the error.
const MAY_RAISE: f64 = 0.01;
/// Minutes in which a bad version must be gone.
const GONE_WITHIN: i64 = 30;
/// Minutes of a drifted plant that a version must have seen to answer the drift.
const LEARNED_OF_DRIFT: i64 = 30;
/// Steps of a forecast.
const HORIZON: usize = 60;
const RESAMPLES: usize = 1_000;
/// Measured values of an hour below which its skill says nothing.
const ENOUGH: i64 = 60;

/// A bad version that was made to serve.
pub(crate) struct Injected {
    pub(crate) asset: String,
    pub(crate) version: i32,
    pub(crate) at: DateTime<Utc>,
    pub(crate) kind: &'static str,
}

/// Sums of what was served so far, by asset and output.
pub(crate) type Skill = BTreeMap<(String, String), Sums>;

/// Sums over measured values that were forecast: how many, CRPS of what was served and of the naive forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    truths: i64,
    own: f64,
    naive: f64,
}

/// A promotion by the server, asked about once more.
pub(crate) struct Judged {
    asset: String,
    of: AssetId,
    id: ModelId,
    version: i32,
    former: i32,
    made_at: DateTime<Utc>,
    at: DateTime<Utc>,
    cause: String,
    state: String,
    paired: Option<Paired>,
}

/// One promotion as it is kept.
#[derive(sqlx::FromRow)]
struct Promoted {
    asset_id: i64,
    key: String,
    model_id: uuid::Uuid,
    version: i32,
    former_id: Option<uuid::Uuid>,
    former: i32,
    made_at: DateTime<Utc>,
    began_at: DateTime<Utc>,
    state: String,
    cause: String,
}

/// How far the fleet is, in a line.
pub(crate) async fn progress(db: &PgPool) -> String {
    let (jobs, promoted, rolled_back, vintages): (i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from fine_tune_job where status = 'succeeded'), (select count(*) from probation p join model_version m on m.id = p.model_id
                  where m.promoted or p.began_at > m.created_at),
             (select count(*) from probation where state = 'rolled_back'),
             (select coalesce(sum(vintages), 0)::int8 from outcome)",
    )
    .fetch_one(db)
    .await
    .unwrap();
    format!("{jobs} jobs, {promoted} promotions, {rolled_back} rolled back, {vintages} scores of forecasts")
}

/// Sums of what was served so far.
pub(crate) async fn served(db: &PgPool) -> Skill {
    let rows: Vec<(String, String, i64, f64, f64)> = sqlx::query_as(
        "select a.key, o.signal, sum(o.truths)::int8, sum(o.crps), sum(o.naive_crps)
         from outcome o join asset a on a.id = o.asset_id where o.cause = 'refresh' group by 1, 2",
    )
    .fetch_all(db)
    .await
    .unwrap();
    rows.into_iter().map(|(key, output, truths, own, naive)| ((key, output), Sums { truths, own, naive })).collect()
}

/// What was served of one output by one version.
#[derive(sqlx::FromRow)]
struct ServedBy {
    key: String,
    source: String,
    version: i32,
    signal: String,
    truths: i64,
    own: f64,
    naive: f64,
    held: f64,
}

/// What was served, by asset, what answered and output: for whoever asks why a skill is low.
pub(crate) async fn details(db: &PgPool) {
    let rows: Vec<ServedBy> = sqlx::query_as(
        "select a.key, o.source, o.version, o.signal, sum(o.truths)::int8 as truths, sum(o.crps) / sum(o.truths) as own,
             sum(o.naive_crps) / sum(o.truths) as naive, sum(o.held_80)::float8 / greatest(sum(o.of_80), 1) as held
         from outcome o join asset a on a.id = o.asset_id where o.cause = 'refresh' and o.truths > 0
         group by 1, 2, 3, 4 order by 1, 2, 3, 4",
    )
    .fetch_all(db)
    .await
    .unwrap();
    println!("| asset | served by | output | truths | CRPS | naive | 80 % band holds |\n|---|---|---|--:|--:|--:|--:|");
    for ServedBy { key, source, version, signal, truths, own, naive, held } in rows {
        println!("| {key} | {source} {version} | {signal} | {truths} | {own:.4} | {naive:.4} | {held:.2} |");
    }
    println!();
}

/// Jobs by what made them and how they ended.
pub(crate) async fn jobs(db: &PgPool) {
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "select cause, status, coalesce(verdict ->> 'promoted', '-'), count(*) from fine_tune_job
         group by 1, 2, 3 order by 1, 2, 3",
    )
    .fetch_all(db)
    .await
    .unwrap();
    println!("| job because of | ended | promoted | jobs |\n|---|---|---|---|");
    for (cause, status, promoted, count) in rows {
        println!("| {cause} | {status} | {promoted} | {count} |");
    }
    println!();
}

/// Every promotion by the server, with both versions asked about what came after it.
pub(crate) async fn promotions(
    rooms: &Rooms,
    sites: &[Site],
    injected: &[Injected],
    (start, steps): (DateTime<Utc>, usize),
    windows: usize,
) -> Vec<Judged> {
    let rows: Vec<Promoted> = sqlx::query_as(
        "select p.asset_id, a.key, p.model_id, m.version, p.former_id, coalesce(f.version, 0) as former, m.created_at as made_at, p.began_at,
             p.state, j.cause
         from probation p join asset a on a.id = p.asset_id join model_version m on m.id = p.model_id
         join fine_tune_job j on j.id = m.job_id left join model_version f on f.id = p.former_id
         -- Not what only forecast in the shadow.
         where m.promoted or p.began_at > m.created_at
         order by p.began_at, a.key",
    )
    .fetch_all(&rooms.db)
    .await
    .unwrap();
    let mut judged = Vec::new();
    for row in rows {
        if injected.iter().any(|bad| bad.asset == row.key && bad.version == row.version) {
            continue;
        }
        let site = sites.iter().find(|site| site.key == row.key).unwrap();
        let from = ((row.began_at - start).num_seconds() / STEP_S) as usize;
        // Until the plant changes for good, which no version could know.
        let until = site.drift.map(|(at, _)| at).filter(|at| *at > from).unwrap_or(steps);
        let rivals = [Some(ModelId(row.model_id)), row.former_id.map(ModelId)];
        let paired = compare(rooms, (AssetId(row.asset_id), site), rivals, start, from..until.max(from), windows).await;
        let Promoted { asset_id, key, model_id, version, former, made_at, began_at, state, cause, .. } = row;
        let id = ModelId(model_id);
        judged.push(Judged {
            asset: key,
            of: AssetId(asset_id),
            id,
            version,
            former,
            made_at,
            at: began_at,
            cause,
            state,
            paired,
        });
    }
    judged
}

/// Whether no promotion raised the error by more than a hundredth.
pub(crate) fn raised(judged: &[Judged]) -> bool {
    let known: Vec<(&Judged, &Paired)> = judged.iter().filter_map(|one| Some((one, one.paired.as_ref()?))).collect();
    let worse: Vec<_> = known.iter().filter(|(_, paired)| paired.improvement < -MAY_RAISE).collect();
    let certain = worse.iter().filter(|(_, paired)| paired.high < -MAY_RAISE).count();
    println!("promotions that raise the error on clean data by more than 1 %: {} of {}", worse.len(), known.len());
    println!(
        "  of these for certain (95 % interval): {certain}; promotions without windows to judge: {}",
        judged.len() - known.len()
    );
    let mut gains: Vec<f64> = known.iter().map(|(_, paired)| 100.0 * paired.improvement).collect();
    gains.sort_by(f64::total_cmp);
    if let (Some(least), Some(most)) = (gains.first(), gains.last()) {
        println!(
            "  saved of the former's CRPS: median {:.1} %, from {least:.1} to {most:.1} %",
            gains[gains.len() / 2]
        );
    }
    for (one, paired) in &worse {
        println!(
            "  {} version {} after {} ({}, {}): {:.1} % worse, interval {:.1} to {:.1} %, {} windows",
            one.asset,
            one.version,
            one.former,
            one.cause,
            one.state,
            -100.0 * paired.improvement,
            -100.0 * paired.high,
            -100.0 * paired.low,
            paired.windows
        );
    }
    worse.is_empty()
}

/// Whether every drift was answered: by a promotion of a version that learned from half an hour of the drifted plant at
/// least, and that forecasts the drifted plant better than what served when it drifted.
pub(crate) async fn drifts(
    rooms: &Rooms,
    judged: &[Judged],
    sites: &[Site],
    (start, steps): (DateTime<Utc>, usize),
    windows: usize,
) -> bool {
    let mut lines = Vec::new();
    let (mut answered, mut late) = (0, 0);
    for site in sites {
        let Some((step, drift)) = &site.drift else { continue };
        let at = instant(start, *step);
        let of_site = || judged.iter().filter(|one| one.asset == site.key);
        let answer = of_site().find(|one| one.made_at >= at + TimeDelta::minutes(LEARNED_OF_DRIFT));
        let Some(answer) = answer else {
            // What learned too little of the drift by the end of the day had no chance.
            let chance = instant(start, steps) - at >= TimeDelta::minutes(2 * LEARNED_OF_DRIFT);
            late += usize::from(!chance);
            lines.push(format!(
                "  {} {drift:?}: {}",
                site.key,
                if chance { "not answered" } else { "too late in the day" }
            ));
            continue;
        };
        let before = of_site().rfind(|one| one.at <= at).map(|one| one.id);
        let from = ((answer.at - start).num_seconds() / STEP_S) as usize;
        let better = compare(rooms, (answer.of, site), [Some(answer.id), before], start, from..steps, windows).await;
        answered += usize::from(better.as_ref().is_some_and(|paired| paired.improvement > 0.0));
        let gain = better.map_or("not judged for want of windows".to_owned(), |paired| {
            let [low, mean, high] = [paired.low, paired.improvement, paired.high].map(|share| 100.0 * share);
            format!(
                "CRPS on what came after {mean:.1} % better than what served at the drift ({low:.1} to {high:.1} %)"
            )
        });
        lines.push(format!(
            "  {} {drift:?}: version {} after {:.1} h, because of {}; {gain}",
            site.key,
            answer.version,
            hours(answer.at - at),
            answer.cause
        ));
    }
    let all = lines.len() - late;
    println!(
        "drifts answered by a version that learned from {LEARNED_OF_DRIFT} minutes of it or more and forecasts better \
         than what served before: {answered} of {all}; {late} came too late in the day"
    );
    println!("{}", lines.join("\n"));
    answered == all
}

/// Two versions asked about the same clean stretches of `span`; `None` without enough of them.
async fn compare(
    rooms: &Rooms,
    (asset, site): (AssetId, &Site),
    rivals: [Option<ModelId>; 2],
    start: DateTime<Utc>,
    span: Range<usize>,
    windows: usize,
) -> Option<Paired> {
    let every = (span.len() / windows).max(HORIZON);
    let (mut own, mut former) = (Vec::new(), Vec::new());
    for step in span.clone().step_by(every).take_while(|step| step + HORIZON < span.end) {
        if !site.is_clean(step, step + HORIZON) {
            continue;
        }
        let duel = rooms.forecasts.duel(asset, instant(start, step), rivals).await.unwrap();
        if let Duel::Fought(bout) = duel
            && let [Some(new), Some(old)] = bout.rivals
        {
            own.push(new.crps);
            former.push(old.crps);
        }
    }
    paired_block_bootstrap(&own, &former, 2, RESAMPLES, 1)
}

/// Whether every bad version was gone in time.
pub(crate) async fn bad_versions(db: &PgPool, injected: &[Injected]) -> bool {
    let mut lines = Vec::new();
    let mut in_time = 0;
    for bad in injected {
        let (state, ended): (String, Option<DateTime<Utc>>) = sqlx::query_as(
            "select p.state, p.ended_at from probation p join asset a on a.id = p.asset_id
             join model_version m on m.id = p.model_id where a.key = $1 and m.version = $2",
        )
        .bind(&bad.asset)
        .bind(bad.version)
        .fetch_one(db)
        .await
        .unwrap();
        let took = ended.map(|ended| ended - bad.at);
        // One that the server replaces by a better one is gone as well.
        let gone = ["rolled_back", "replaced"].contains(&state.as_str());
        let good = gone && took.is_some_and(|took| took <= TimeDelta::minutes(GONE_WITHIN));
        in_time += usize::from(good);
        let minutes = took.map_or(f64::NAN, |took| 60.0 * hours(took));
        lines.push(format!("  {} version {} ({}): {state} after {minutes:.0} min", bad.asset, bad.version, bad.kind));
    }
    println!(
        "bad versions rolled back or replaced by the server within {GONE_WITHIN} minutes: {in_time} of {}",
        injected.len()
    );
    println!("{}", lines.join("\n"));
    in_time == injected.len()
}

/// Whether what was served never lost to the naive forecast: by asset over the run, and by asset and hour
/// where enough was measured. Hours in which a sensor of the asset lied are left out: what it said is no truth.
/// Outputs count alike, each in units of the naive forecast's mean loss on it.
pub(crate) fn skill(hours: &[Skill], sites: &[Site]) -> bool {
    let Some(last) = hours.last() else { return false };
    let per_hour = 3600 / STEP_S as usize;
    let mut lied = 0;
    let mut whole: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let mut by_hour = Vec::new();
    for (hour, pair) in hours.windows(2).enumerate() {
        for site in sites {
            if !site.is_clean((hour * per_hour).saturating_sub(HORIZON), (hour + 1) * per_hour) {
                lied += 1;
                continue;
            }
            let (mut truths, mut own, mut naive) = (0, 0.0, 0.0);
            for ((key, output), sums) in pair[1].iter().filter(|((key, _), _)| *key == site.key) {
                let at = (key.clone(), output.clone());
                let (before, all) = (pair[0].get(&at).copied().unwrap_or_default(), last[&at]);
                let unit = all.naive / all.truths.max(1) as f64;
                if unit > 0.0 {
                    truths += sums.truths - before.truths;
                    own += (sums.own - before.own) / unit;
                    naive += (sums.naive - before.naive) / unit;
                }
            }
            let sums = whole.entry(&site.key).or_default();
            (sums.0, sums.1) = (sums.0 + own, sums.1 + naive);
            if truths >= ENOUGH && naive > 0.0 {
                by_hour.push((1.0 - own / naive, hour + 1, &site.key));
            }
        }
    }
    let of: Vec<f64> = whole.values().filter(|(_, naive)| *naive > 0.0).map(|(own, naive)| 1.0 - own / naive).collect();
    by_hour.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mean = of.iter().sum::<f64>() / of.len().max(1) as f64;
    let least = of.iter().copied().fold(f64::INFINITY, f64::min);
    println!("skill of what was served against the naive forecast (CRPS), by asset: mean {mean:.2}, least {least:.2}");
    let below: Vec<_> = by_hour.iter().filter(|(skill, ..)| *skill < 0.0).collect();
    println!(
        "  hours of an asset below 0: {} of {} with {ENOUGH} values or more; {lied} with a lying sensor left out",
        below.len(),
        by_hour.len()
    );
    for (skill, hour, key) in below.iter().take(12) {
        println!("  {key} in hour {hour}: {skill:.2}");
    }
    !of.is_empty() && least >= 0.0 && below.is_empty()
}

fn hours(span: TimeDelta) -> f64 {
    span.num_seconds() as f64 / 3600.0
}
