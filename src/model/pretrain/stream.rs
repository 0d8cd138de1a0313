//! The windows that batches are drawn from: a stretch of an endless sequence that moves on while the
//! network learns, so that memory stays bounded however long a run is.
//!
//! Windows come in chunks of [`CHUNK`]. Before step `s` the stream holds the chunks of
//! [`Course::held`], a function of `s` alone: a run that is taken up again finds the same windows.
//! Threads draw chunks ahead, each its own, and wait when they are two ahead.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use super::windows::{FUTURES, Item, items};

/// Windows in a chunk.
pub(super) const CHUNK: usize = 256;
/// Records that a chunk may use up; it takes about a hundred.
const STRIDE: u64 = 1_024;
/// Chunks that a thread draws ahead.
const AHEAD: usize = 2;

/// Which chunks are there at which step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// Chunks in all.
    pub(super) chunks: usize,
    /// Chunks held at a time.
    pub(super) held: usize,
    /// Optimiser steps.
    pub(super) steps: usize,
}

impl Course {
    /// The chunks that step `step` (from 1) draws from: the first steps wait for a full stretch, and
    /// the last step sees the last chunk.
    pub(super) fn held(self, step: usize) -> Range<usize> {
        let first = self.held.min(self.chunks);
        let later = self.chunks - first;
        let end = first + (later * (step.max(1) - 1)).div_ceil(self.steps.max(2) - 1);
        let end = end.min(self.chunks);
        end - first..end
    }
}

/// The windows of one chunk: exactly [`CHUNK`].
pub(super) fn chunk(seed: u64, index: usize) -> Vec<Item> {
    let first = index as u64 * STRIDE;
    let mut drawn: Vec<Item> = Vec::with_capacity(CHUNK + 4);
    for record in first..first + STRIDE {
        drawn.extend(items(seed, record, None));
        if drawn.len() >= CHUNK {
            break;
        }
    }
    drawn.truncate(CHUNK);
    if let Some(last) = drawn.last_mut() {
        // Its partner may have been cut off.
        last.partner_next = false;
    }
    drawn
}

/// Windows of each shape, oldest first, each with the chunk it came in.
#[derive(Debug, Default)]
struct Shelf(VecDeque<(usize, Item)>);

/// The windows of a training run.
#[derive(Debug)]
pub(super) struct Stream {
    course: Course,
    shelves: [Shelf; FUTURES.len()],
    /// The first chunk that the threads drew, and the next to take from them.
    first: usize,
    next: usize,
    workers: Vec<Receiver<Vec<Item>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Stream {
    /// Starts the threads for a run that takes `step` next.
    pub(super) fn start(seed: u64, course: Course, step: usize, threads: usize) -> Self {
        Self::open(seed, course, course.held(step).start, threads)
    }

    /// Starts the threads for a run without an end, from a chunk on; it holds at most `held` chunks.
    pub(super) fn endless(seed: u64, first: usize, held: usize, threads: usize) -> Self {
        Self::open(seed, Course { chunks: usize::MAX / 2, held, steps: usize::MAX }, first, threads)
    }

    fn open(seed: u64, course: Course, first: usize, threads: usize) -> Self {
        let count = threads.max(1);
        let (workers, threads) = (0..count)
            .map(|worker| {
                let (send, receive) = sync_channel(AHEAD);
                let own = (first + worker..course.chunks).step_by(count);
                let thread = std::thread::spawn(move || {
                    // Nobody listens any more once the run has ended.
                    let _ = own.map(|index| send.send(chunk(seed, index))).find(Result::is_err);
                });
                (receive, thread)
            })
            .unzip();
        Self { course, shelves: Default::default(), first, next: first, workers, threads }
    }

    /// Takes in what step `step` draws from, and forgets what it does not. `each` hears of every
    /// chunk.
    pub(super) fn advance(&mut self, step: usize, each: &mut dyn FnMut(Range<usize>)) {
        let held = self.course.held(step);
        let fresh = self.next;
        while self.next < held.end {
            let drawn = self.worker().recv().expect("a drawing thread lives until all is drawn");
            self.shelve(drawn);
            each(fresh..self.next);
        }
        self.forget(held.start);
    }

    /// Takes in all that the threads have drawn by now, waits only until there are `least` chunks, and
    /// forgets the oldest.
    pub(super) fn take_ready(&mut self, least: usize) {
        loop {
            let drawn = if self.next - self.first < least {
                Some(self.worker().recv().expect("a drawing thread lives until all is drawn"))
            } else {
                self.worker().try_recv().ok()
            };
            let Some(drawn) = drawn else { break };
            self.shelve(drawn);
            self.forget(self.next.saturating_sub(self.course.held));
        }
    }

    /// The next chunk to be taken in.
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// Whose turn it is.
    fn worker(&self) -> &Receiver<Vec<Item>> {
        &self.workers[(self.next - self.first) % self.workers.len()]
    }

    fn shelve(&mut self, drawn: Vec<Item>) {
        for item in drawn {
            let future = item.example.window.future;
            let place = FUTURES.iter().position(|(steps, _)| *steps == future);
            self.shelves[place.expect("windows have the futures that are listed")].0.push_back((self.next, item));
        }
        self.next += 1;
    }

    fn forget(&mut self, before: usize) {
        for shelf in &mut self.shelves {
            while shelf.0.front().is_some_and(|(chunk, _)| *chunk < before) {
                shelf.0.pop_front();
            }
        }
    }

    /// Draws about `size` items of one shape; a partner comes with its item.
    pub(super) fn batch(&self, draw: &mut ChaCha8Rng, size: usize) -> Vec<&Item> {
        let total: usize = self.shelves.iter().map(|shelf| shelf.0.len()).sum();
        let mut at = draw.random_range(0..total);
        let Shelf(shelf) = self
            .shelves
            .iter()
            .find(|shelf| {
                let found = at < shelf.0.len();
                at = at.saturating_sub(shelf.0.len());
                found
            })
            .expect("the index lies in one of the shelves");
        let mut batch = Vec::with_capacity(size + 1);
        while batch.len() < size {
            let index = draw.random_range(0..shelf.len());
            batch.push(&shelf[index].1);
            if shelf[index].1.partner_next {
                batch.push(&shelf[index + 1].1);
            }
        }
        batch
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A thread that cannot send ends.
        self.workers.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn a_course_begins_full_moves_on_evenly_and_ends_at_the_end() {
        let course = Course { chunks: 100, held: 10, steps: 500 };
        assert_eq!(course.held(1), 0..10);
        assert_eq!(course.held(500), 90..100);
        for step in 2..=500 {
            let (before, now) = (course.held(step - 1), course.held(step));
            assert!(now.len() == 10 && now.start >= before.start && now.end - before.end <= 1);
        }
        let small = Course { chunks: 3, held: 10, steps: 1 };
        assert_eq!(small.held(1), 0..3);
    }

    #[test]
    fn a_stream_that_starts_late_holds_what_one_that_came_there_holds() {
        let course = Course { chunks: 5, held: 2, steps: 40 };
        let drawn = |from: usize, threads: usize| {
            let mut stream = Stream::start(3, course, from, threads);
            (from..=30).for_each(|step| stream.advance(step, &mut |_| {}));
            let batch = stream.batch(&mut ChaCha8Rng::seed_from_u64(1), 16);
            batch.iter().map(|item| item.example.window.clone()).collect::<Vec<_>>()
        };
        let (whole, late) = (drawn(1, 2), drawn(25, 1));
        assert!(whole.len() >= 16 && whole == late);
    }

    #[test]
    fn a_stream_without_an_end_waits_for_what_is_needed_and_keeps_no_more_than_it_may() {
        let mut stream = Stream::endless(3, 4, 2, 2);
        stream.take_ready(1);
        assert!(stream.next() > 4);
        stream.take_ready(5);
        assert!(stream.next() >= 9);
        let held: usize = stream.shelves.iter().map(|shelf| shelf.0.len()).sum();
        assert_eq!(held, 2 * CHUNK);
        let oldest = stream.shelves.iter().flat_map(|shelf| shelf.0.iter().map(|(chunk, _)| *chunk)).min();
        assert_eq!(oldest, Some(stream.next() - 2));
    }
}
