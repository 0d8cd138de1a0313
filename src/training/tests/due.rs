//! Jobs that make themselves: drift, errors, by the clock, off-peak; and none where nothing is amiss.

use chrono::TimeDelta;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::ids::JobId;
use crate::reading::Frame;
use crate::score::TargetScore;
use crate::training::due::OffPeak;
use crate::training::spread::{spreads, stretch};
use crate::training::{Cause, card};

/// Frames that a version learns from in these tests; a look then takes 100.
const LEARNED: usize = 2_000;
const LOOK: usize = 100;

/// A plant whose readings come one by one.
struct Plant<'a> {
    yard: &'a Yard,
    rng: ChaCha8Rng,
    flow: f64,
    seconds: i64,
    count: i64,
}

impl<'a> Plant<'a> {
    fn new(yard: &'a Yard, seed: u64) -> Self {
        Self { yard, rng: ChaCha8Rng::seed_from_u64(seed), flow: 0.0, seconds: 0, count: 0 }
    }

    /// The next frames: a speed that is set anew every 20 s around `speed`, and a flow that follows.
    fn frames(&mut self, count: usize, speed: f64) -> Vec<Frame> {
        let begin = "2026-11-24T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
        let mut set = speed;
        (0..count)
            .map(|step| {
                if step % 20 == 0 {
                    set = speed + f64::from(self.rng.random_range(-2..=2_i32));
                }
                self.flow += 0.2 * (set + self.rng.random_range(-0.5..0.5) - self.flow);
                self.seconds += 1;
                Frame {
                    observed_at: begin + TimeDelta::seconds(self.seconds),
                    values: vec![set, self.flow],
                    quality: None,
                }
            })
            .collect()
    }

    /// Frames that come, and then a look at what is due.
    async fn comes(&mut self, count: usize, speed: f64) -> Vec<JobId> {
        let frames = self.frames(count, speed);
        self.count += 2 * count as i64;
        store::frames(&self.yard.db, self.yard.pump, &frames).await;
        store::readings(&self.yard.db, self.yard.pump, self.count).await;
        self.yard.training.schedule().await.unwrap()
    }

    /// Lets a version that learned from frames around a speed of 50 serve. Its output is off by 0.2.
    async fn learned(&mut self) {
        self.yard.ask().await;
        let frames = self.frames(LEARNED, 50.0);
        self.count += 2 * LEARNED as i64;
        store::readings(&self.yard.db, self.yard.pump, self.count).await;
        let asset = self.yard.training.assets.find("pump").await.unwrap();
        let kind = asset.asset_type.clone();
        let script = move |_: Assignment, _: Progressing<'_>| {
            let data = DataCard { spreads: spreads(&kind, &frames), stretch: LOOK, ..DataCard::default() };
            let mut candidate = Candidate { data, ..candidate(0.8) };
            let by = |mae: f64| [("flow".to_owned(), TargetScore { mae, ..TargetScore::default() })].into();
            candidate.holdout.recent.candidate.card.by_target = by(0.2);
            candidate.holdout.recent.naive.card.by_target = by(0.4);
            Ok(candidate)
        };
        self.yard.worker(script).step().await.unwrap();
        assert_eq!(self.yard.serving().await, 1);
        // As if the job had been made when it took its frames.
        store::seen(&self.yard.db, self.count).await;
    }
}

/// A yard where fresh readings alone make no job for long.
async fn yard() -> Yard {
    let mut yard = Yard::new().await;
    yard.training.config.training_fresh_frames = 800;
    yard.training.config.training_first_frames = 10_000;
    yard
}

#[test]
fn a_look_takes_what_these_tests_say() {
    assert_eq!(stretch(LEARNED), Some(LOOK));
    assert!(card::DataCard::default().spreads.is_empty());
}

#[tokio::test]
async fn drift_of_an_input_makes_a_job_that_says_so() {
    let yard = yard().await;
    let mut plant = Plant::new(&yard, 1);
    plant.learned().await;
    for _ in 0..3 {
        assert_eq!(plant.comes(LOOK, 50.0).await, []);
    }
    assert_eq!(plant.comes(LOOK, 70.0).await, [], "one look proves little");
    assert_eq!(plant.comes(LOOK / 2, 70.0).await, [], "half of a stretch is no look");
    let made = plant.comes(LOOK / 2, 70.0).await;
    assert_eq!(made.len(), 1);
    let job = yard.training.job(made[0]).await.unwrap();
    assert_eq!((job.cause, job.status, job.promotion), (Cause::Drift, Status::Pending, Promotion::Managed));
    let why = job.why.unwrap();
    assert!(why.starts_with("input speed: PSI ") || why.starts_with("output flow: PSI "), "{why}");
    assert!(why.ends_with(" against what version 1 learned from"), "{why}");
    // The promotion of the first version may be of the same instant.
    let told: Vec<_> = store::acts(&yard.db).await.into_iter().filter(|(act, ..)| act == "fine_tune").collect();
    assert_eq!(
        told,
        [("fine_tune".to_owned(), format!("/v1/fine-tune-jobs/{}", made[0]), format!("pump: drift, {why}"))]
    );
    assert_eq!(plant.comes(4 * LOOK, 70.0).await, [], "it is not finished");
}

#[tokio::test]
async fn what_stays_as_it_was_makes_no_job() {
    // 20 plants, seven looks each, with two signals.
    let mut wrong = 0;
    for seed in 0..20 {
        let yard = yard().await;
        let mut plant = Plant::new(&yard, seed);
        plant.learned().await;
        for _ in 0..7 {
            wrong += plant.comes(LOOK, 50.0).await.len();
        }
        assert_eq!(store::looks(&yard.db).await, 1, "it was looked at");
    }
    assert_eq!(wrong, 0, "jobs for drift that was none, of 20 plants");
}

#[tokio::test]
async fn many_servers_look_and_one_job_is_made() {
    let yard = yard().await;
    let mut plant = Plant::new(&yard, 2);
    plant.learned().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        let frames = plant.frames(LOOK, 70.0);
        plant.count += 2 * LOOK as i64;
        store::frames(&yard.db, yard.pump, &frames).await;
        store::readings(&yard.db, yard.pump, plant.count).await;
        let servers = futures::future::join_all((0..4).map(|_| yard.training.schedule())).await;
        made.extend(servers.into_iter().flat_map(Result::unwrap));
    }
    assert_eq!(made.len(), 1);
}

#[tokio::test]
async fn drift_that_taught_nothing_better_waits_for_fresh_readings() {
    let yard = yard().await;
    let mut plant = Plant::new(&yard, 3);
    plant.learned().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.extend(plant.comes(LOOK, 70.0).await);
    }
    assert_eq!(made.len(), 1);
    yard.worker(|_, _| Ok(candidate(1.1))).step().await.unwrap();
    assert_eq!(yard.serving().await, 1);
    for _ in 0..6 {
        assert_eq!(plant.comes(LOOK, 70.0).await, []);
    }
    let mut made = Vec::new();
    for _ in 0..3 {
        made.extend(plant.comes(LOOK, 70.0).await);
    }
    assert_eq!(made.len(), 1, "800 frames later");
}

#[tokio::test]
async fn errors_that_grew_make_a_job_that_says_so() {
    let yard = yard().await;
    let mut plant = Plant::new(&yard, 4);
    plant.learned().await;
    assert_eq!(plant.comes(LOOK, 50.0).await, [], "a quarter of 800 frames must be new");
    let mut sums = (0, 0.0, 0.0);
    let mut looked = async |plant: &mut Plant<'_>, mae: f64, naive: f64| {
        let (count, own, of_naive) = &mut sums;
        (*count, *own, *of_naive) = (*count + 1_000, *own + 1_000.0 * mae, *of_naive + 1_000.0 * naive);
        store::outcomes(&yard.db, yard.pump, *count, (*own, *of_naive)).await;
        plant.comes(LOOK, 50.0).await
    };
    assert_eq!(looked(&mut plant, 0.2, 0.4).await, [], "the first ones are only noted");
    assert_eq!(looked(&mut plant, 0.25, 0.4).await, []);
    assert_eq!(looked(&mut plant, 0.6, 1.2).await, [], "the plant got livelier");
    assert_eq!(looked(&mut plant, 0.5, 0.4).await, [], "one look proves little");
    let made = looked(&mut plant, 0.5, 0.4).await;
    assert_eq!(made.len(), 1);
    let job = yard.training.job(made[0]).await.unwrap();
    assert_eq!(job.cause, Cause::Errors);
    let why = job.why.unwrap();
    assert_eq!(
        why,
        "output flow: the newest 1000 outcomes missed by 0.5000 on average, 2.5 times the 0.2000 expected of version 1"
    );
}

#[tokio::test]
async fn by_the_clock_an_asset_learns_again_if_something_new_came() {
    let mut yard = yard().await;
    yard.training.config.training_every_h = 12;
    store::readings(&yard.db, yard.pump, 1_000).await;
    let job = yard.ask().await;
    yard.training.cancel(job.id).await.unwrap();
    store::readings(&yard.db, yard.pump, 1_399).await;
    yard.clock.advance(TimeDelta::hours(11));
    assert_eq!(yard.training.schedule().await.unwrap(), [], "too soon");
    yard.clock.advance(TimeDelta::hours(1));
    assert_eq!(yard.training.schedule().await.unwrap(), [], "a quarter of 800 frames must be new");
    store::readings(&yard.db, yard.pump, 1_400).await;
    let made = futures::future::join_all((0..4).map(|_| yard.training.schedule())).await;
    let made: Vec<JobId> = made.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(made.len(), 1, "four servers, one job");
    let job = yard.training.job(made[0]).await.unwrap();
    assert_eq!(
        (job.cause, job.why.as_deref()),
        (Cause::Schedule, Some("12 h since the newest job, and at least 200 new frames"))
    );
    yard.training.cancel(made[0]).await.unwrap();
    store::readings(&yard.db, yard.pump, 2_900).await;
    yard.training.config.training_every_h = 0;
    yard.clock.advance(TimeDelta::days(30));
    assert_eq!(yard.training.schedule().await.unwrap(), [], "left to the frames");
}

#[tokio::test]
async fn what_can_wait_waits_for_the_night_and_drift_does_not() {
    let mut yard = yard().await;
    yard.training.config.training_off_peak = vec!["22:00-06:00".parse::<OffPeak>().unwrap()];
    yard.clock.advance(TimeDelta::hours(12));
    let mut plant = Plant::new(&yard, 5);
    plant.learned().await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.extend(plant.comes(LOOK, 70.0).await);
    }
    assert_eq!(made.len(), 1, "drift at noon");
    yard.worker(|_, _| Ok(candidate(1.1))).step().await.unwrap();
    // Enough is new, and a day has gone by.
    store::readings(&yard.db, yard.pump, plant.count + 20_000).await;
    store::unlearn(&yard.db).await;
    yard.clock.advance(TimeDelta::days(1));
    assert_eq!(yard.training.schedule().await.unwrap(), [], "noon again");
    yard.clock.advance(TimeDelta::hours(10));
    let made = yard.training.schedule().await.unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!(yard.training.job(made[0]).await.unwrap().cause, Cause::FreshReadings);
}
