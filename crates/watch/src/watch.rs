//! All watches of a cluster, on a thread of their own.

use std::{
    sync::mpsc::SyncSender,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use kube::Client;
use tokio::{sync::oneshot, task::LocalSet};

use palisade_manifest::ReadOptions;

use crate::{
    access::Cluster,
    backoff::Backoff,
    change::{Change, Received, Trouble, Watched},
    error::ReadError,
    health::{Health, HealthBoard},
    lines::innermost,
    reflector::{Reflector, Sink},
    runtime,
    typed::Typist,
};

/// How patient a watch is. The default is for clusters; tests are in more of a hurry.
#[derive(Clone, Debug)]
pub struct Pace {
    /// About how long to wait after the first failure; it doubles with each further one.
    pub first: Duration,
    /// The longest wait.
    pub most: Duration,
    /// For the same lots in every run; `None`: other ones in each.
    pub seed: Option<u64>,
    /// How long the server is asked to keep a watch open: at most 290 s count.
    pub watch_for: Duration,
    /// A watch on which nothing came for so long, not even a bookmark, is opened anew: a connection may
    /// die without a word. Servers send a bookmark about every minute.
    pub silence: Duration,
    /// A watch that ends without a word before is a failure, so that nobody asks in a circle.
    pub at_least: Duration,
    /// How long an answer may take.
    pub answer: Duration,
    /// How long until it is asked again for what the server does not serve, such as a definition that is not
    /// installed.
    pub look_again: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(200),
            most: Duration::from_secs(30),
            seed: None,
            watch_for: Duration::from_secs(290),
            silence: Duration::from_secs(150),
            at_least: Duration::from_secs(1),
            answer: Duration::from_secs(60),
            look_again: Duration::from_secs(30),
        }
    }
}

impl Pace {
    /// The waits of one resource's watch: they are not those of another's.
    pub(crate) fn backoff(&self, of: Watched) -> Backoff {
        let number = Watched::ALL.iter().zip(0_u64..).find(|(one, _)| **one == of).map_or(0, |(_, number)| number);
        Backoff::new(self.first, self.most, self.seed.map(|seed| seed.wrapping_add(number)))
    }
}

/// Running watches. They end when this is dropped.
#[derive(Debug)]
pub struct Watch {
    health: HealthBoard,
    /// Dropped or used, it ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// How the watches are doing; also for other threads, by cloning it.
    pub fn health(&self) -> &HealthBoard {
        &self.health
    }

    /// How one of them is doing.
    pub fn health_of(&self, of: Watched) -> Health {
        self.health.of(of)
    }

    /// Ends the watches and waits until nothing more is sent. It does not need the channel to be read.
    pub fn stop(mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It ends by itself; that it panicked was printed.
            _ = thread.join();
        }
    }
}

impl Cluster {
    /// Follows these resources in all namespaces, and sends every change into `sink`, in the order in
    /// which the server tells it of each resource. Between resources there is no order: a pod may come
    /// before its namespace.
    ///
    /// Never gives up: what does not work is said as [`Change::Trouble`] and tried again. A full channel
    /// makes the server wait. When the receiver is gone, the watches end. The sender's items are made
    /// from [`Received`], so that an owner with other things to hear has one channel for all.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn watch<T>(&self, of: &[Watched], pace: Pace, sink: SyncSender<T>) -> Result<Watch, ReadError>
    where
        T: From<Received> + Send + 'static,
    {
        let (cluster, resources, health) = (self.clone(), of.to_vec(), HealthBoard::new(of));
        let (stop, stopped) = oneshot::channel();
        let runtime = runtime()?;
        let board = health.clone();
        let follow = move || {
            let watches = LocalSet::new();
            watches.spawn_local(follow(cluster, resources, pace, sink, board));
            // Sent or dropped, it is the end.
            _ = watches.block_on(&runtime, stopped);
        };
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(follow).map_err(ReadError::Runtime)?;
        Ok(Watch { health, stop: Some(stop), thread: Some(thread) })
    }
}

/// Runs a reflector for each resource until nobody listens.
async fn follow<T>(cluster: Cluster, of: Vec<Watched>, pace: Pace, sink: SyncSender<T>, health: HealthBoard)
where
    T: From<Received> + Send + 'static,
{
    let Some(client) = client(&cluster, &of, &pace, &Sink(sink.clone()), &health).await else { return };
    let mut tasks = Vec::new();
    for of in of {
        let (client, pace, sink, health) = (client.clone(), pace.clone(), Sink(sink.clone()), health.clone());
        let options = ReadOptions { fail_closed: true, ..cluster.options() };
        tasks.push(tokio::task::spawn_local(async move {
            Reflector::new(of, client, &pace, Typist::new(of, &options), sink, health).run().await;
        }));
    }
    // The tasks hold the only senders: who receives learns of the end.
    drop(sink);
    for task in tasks {
        _ = task.await;
    }
}

/// What speaks to the server. That it cannot be made may pass: certificates are files.
async fn client<T: From<Received>>(
    cluster: &Cluster,
    of: &[Watched],
    pace: &Pace,
    sink: &Sink<T>,
    health: &HealthBoard,
) -> Option<Client> {
    let mut config = cluster.config.clone();
    // Each answer has its own patience, and what failed is asked again here, where it is told.
    config.read_timeout = None;
    config.default_retry = false;
    let mut backoff = Backoff::new(pace.first, pace.most, pace.seed);
    loop {
        let error = match Client::try_from(config.clone()) {
            Ok(client) => return Some(client),
            Err(error) => error,
        };
        let (why, retry_in) = (innermost(&error), backoff.wait());
        for of in of {
            let trouble = Trouble { of: *of, why: why.clone(), failures: backoff.failures(), retry_in };
            health.note(*of, |health| health.fails(&why));
            if sink.send(Instant::now(), Change::Trouble(trouble)).await.is_err() {
                return None;
            }
        }
        tokio::time::sleep(retry_in).await;
    }
}
