//! tokio-cron-scheduler as an alarm clock: it is told one instant at a time.
//!
//! In: a number of seconds. Out: the ring. Cron expressions, time zones and overlaps are not left to it: it fixes the
//! offset of a zone when a job is added, and lets jobs overlap.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_cron_scheduler::{Job, JobScheduler};

use crate::schedule::ScheduleError;

pub struct AlarmClock(JobScheduler);

impl AlarmClock {
    pub async fn start() -> Result<Self, ScheduleError> {
        let mut scheduler = JobScheduler::new().await.map_err(failed)?;
        scheduler.init().await.map_err(failed)?;
        scheduler.start().await.map_err(failed)?;
        Ok(Self(scheduler))
    }

    /// Rings when the wall clock's second is that much later, or up to half a second after it.
    pub async fn ring_after(&self, seconds: i64) -> Result<(), ScheduleError> {
        let (ring, heard) = oneshot::channel();
        // A poll that comes too soon after the first may start the job twice; it rings once.
        let ring = Mutex::new(Some(ring));
        let wait = Duration::from_secs(seconds.try_into().unwrap_or(0));
        let job = Job::new_one_shot(wait, move |_, _| {
            let ring = ring.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Nobody waits any more when `serve` has been stopped.
            let _sent = ring.map(|ring| ring.send(()));
        });
        self.0.add(job.map_err(failed)?).await.map_err(failed)?;
        heard.await.map_err(failed)
    }

    pub async fn stop(mut self) {
        if let Err(error) = self.0.shutdown().await {
            tracing::warn!("the alarm clock did not stop: {error}");
        }
    }
}

fn failed(error: impl std::error::Error) -> ScheduleError {
    ScheduleError::Clock(error.to_string())
}
