//! Lists, page by page, into the reader.

use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::{Client, api::ListParams, client::Body, core::Request};
use palisade_manifest::read::{Collector, Keep};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Progress,
    access::Cluster,
    error::{Missing, ReadError},
    object,
    resources::{self, CLUSTER_POLICIES, Resource},
};

/// Objects on a page: what kubectl asks for.
pub(crate) const PAGE: u32 = 500;

/// A list whose continue token expires is begun again so many times.
const MOST_RESTARTS: usize = 3;

/// How long to wait before a request that failed for the moment is made again.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// The longest pause that a server may ask for.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A server that says nothing for so long will not answer.
const SILENCE: Duration = Duration::from_secs(60);

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct Page {
    pub(crate) metadata: PageMetadata,
    pub(crate) items: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
pub(crate) struct PageMetadata {
    #[serde(default, rename = "continue")]
    pub(crate) next: Option<String>,
    /// The moment that the whole list is of: where a watch goes on.
    #[serde(default, rename = "resourceVersion")]
    pub(crate) version: String,
}

/// `GET /apis`, and one version of a group.
#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct Served {
    resources: Vec<ServedResource>,
}

#[derive(Deserialize)]
struct ServedResource {
    name: String,
    kind: String,
    namespaced: bool,
    verbs: Vec<String>,
}

/// An answer that is no success.
enum Refusal {
    Forbidden,
    NotFound,
    Expired,
    Other(ReadError),
}

/// Reads every resource; all that is forbidden is told at once.
pub(crate) async fn all(
    cluster: &Cluster,
    collector: &mut Collector<'_>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<(), ReadError> {
    let mut config = cluster.config.clone();
    config.read_timeout = Some(SILENCE);
    // Its retries would take minutes, and nobody would know why.
    config.default_retry = false;
    let client = Client::try_from(config).map_err(|error| cluster.unreachable(&error))?;
    let mut lister = Lister { cluster, client, collector, progress };
    let mut missing = Vec::new();
    for resource in resources::built_in() {
        match lister.list(&resource).await {
            Ok(()) => {}
            Err(Refusal::Forbidden) => missing.push(Missing::List(resource)),
            Err(Refusal::NotFound) => {
                return Err(ReadError::NotServed {
                    cluster: cluster.title.clone(),
                    resource: resource.to_string(),
                    version: resource.api_version(),
                });
            }
            Err(refusal) => return Err(lister.failure(&resource.to_string(), refusal)),
        }
    }
    lister.cluster_policies(&mut missing).await?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(ReadError::Forbidden { cluster: cluster.title.clone(), missing })
}

struct Lister<'a, 'o> {
    cluster: &'a Cluster,
    client: Client,
    collector: &'a mut Collector<'o>,
    progress: &'a mut dyn FnMut(&Progress),
}

impl Lister<'_, '_> {
    /// All pages of a resource; from the beginning when the list has changed too much in between.
    async fn list(&mut self, resource: &Resource) -> Result<(), Refusal> {
        for _ in 0..=MOST_RESTARTS {
            let mark = self.collector.mark();
            match self.pages(resource).await {
                Err(Refusal::Expired) => self.collector.back_to(mark),
                other => return other,
            }
        }
        Err(Refusal::Expired)
    }

    async fn pages(&mut self, resource: &Resource) -> Result<(), Refusal> {
        let path = resource.path();
        let mut objects = 0;
        let mut parameters = ListParams::default().limit(PAGE);
        loop {
            (self.progress)(&Progress { resource: resource.plural.to_string(), objects });
            let page: Page = self.get(&path, &parameters, &resource.to_string()).await?;
            for item in page.items.unwrap_or_default() {
                self.object(resource, &item).map_err(|error| {
                    let why = format!("an item is no object: {error}");
                    Refusal::Other(self.no_list(&resource.to_string(), &why))
                })?;
                objects += 1;
            }
            match page.metadata.next.filter(|token| !token.is_empty()) {
                Some(token) => parameters.continue_token = Some(token),
                None => return Ok(()),
            }
        }
    }

    fn object(&mut self, resource: &Resource, item: &RawValue) -> serde_json::Result<()> {
        let (name, text) = object::text(resource, item)?;
        let keep = if resource.is_policy() { Keep::Always } else { Keep::IfFaulty };
        let name = format!("{}{}/{name}", self.cluster.prefix(), resource.plural);
        self.collector.read(&name, text, keep);
        Ok(())
    }

    /// The cluster-wide policies, of whatever kind and version is installed. Whether the reader knows
    /// their kind is its business: what it does not know it counts, and nobody answers without it.
    async fn cluster_policies(&mut self, missing: &mut Vec<Missing>) -> Result<(), ReadError> {
        let path = "/apis";
        let groups: Groups = match self.get(path, &ListParams::default(), path).await {
            Ok(groups) => groups,
            Err(Refusal::Forbidden) => {
                missing.push(Missing::Path(path.to_owned()));
                return Ok(());
            }
            Err(refusal) => return Err(self.failure(path, refusal)),
        };
        let Some(group) = groups.groups.into_iter().find(|group| group.name == CLUSTER_POLICIES) else {
            return Ok(());
        };
        // The versions come by preference; a kind is the same objects in each of them.
        let mut seen: Vec<String> = Vec::new();
        for GroupVersion { version } in group.versions {
            let path = format!("/apis/{CLUSTER_POLICIES}/{version}");
            let served: Served = match self.get(&path, &ListParams::default(), &path).await {
                Ok(served) => served,
                Err(Refusal::Forbidden) => {
                    missing.push(Missing::Path(path));
                    continue;
                }
                Err(refusal) => return Err(self.failure(&path, refusal)),
            };
            for one in served.resources {
                if !one.verbs.iter().any(|verb| verb == "list") || seen.contains(&one.name) {
                    continue;
                }
                seen.push(one.name.clone());
                let resource = Resource {
                    group: CLUSTER_POLICIES.into(),
                    version: version.clone().into(),
                    plural: one.name.into(),
                    kind: one.kind.into(),
                    namespaced: one.namespaced,
                };
                match self.list(&resource).await {
                    // Uninstalled this moment: then there is none.
                    Ok(()) | Err(Refusal::NotFound) => {}
                    Err(Refusal::Forbidden) => missing.push(Missing::List(resource)),
                    Err(refusal) => return Err(self.failure(&resource.to_string(), refusal)),
                }
            }
        }
        Ok(())
    }

    /// One request, made again a few times while the server is only busy.
    async fn get<T: for<'de> Deserialize<'de>>(
        &self,
        path: &str,
        parameters: &ListParams,
        what: &str,
    ) -> Result<T, Refusal> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let (code, asked, body) = self.once(path, parameters).await.map_err(Refusal::Other)?;
            let why = match code {
                200 => match serde_json::from_slice(body.as_ref()) {
                    Ok(answer) => return Ok(answer),
                    Err(error) => format!("its answer is none of an API server: {error}"),
                },
                401 => return Err(Refusal::Other(ReadError::Credentials { cluster: self.cluster.title.clone() })),
                403 => return Err(Refusal::Forbidden),
                404 => return Err(Refusal::NotFound),
                410 => return Err(Refusal::Expired),
                429 | 500 | 502 | 503 | 504 => match pauses.next() {
                    Some(pause) => {
                        tokio::time::sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE)).await;
                        continue;
                    }
                    None => format!("{} ({code})", message(&body)),
                },
                _ => format!("{} ({code})", message(&body)),
            };
            return Err(Refusal::Other(self.no_list(what, &why)));
        }
    }

    /// The status, how long to wait if it asks for patience, and the body.
    async fn once(
        &self,
        path: &str,
        parameters: &ListParams,
    ) -> Result<(u16, Option<Duration>, impl AsRef<[u8]> + use<>), ReadError> {
        let request = Request::new(path).list(parameters).map_err(|error| self.cluster.unreachable(&error))?;
        let sent = self.client.send(request.map(Body::from)).await;
        let response = sent.map_err(|error| self.cluster.unreachable(&error))?;
        let asked = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| self.cluster.unreachable(&error))?;
        Ok((code, asked.map(Duration::from_secs), body.to_bytes()))
    }

    fn no_list(&self, what: &str, why: &str) -> ReadError {
        ReadError::List { cluster: self.cluster.title.clone(), resource: what.to_owned(), why: why.to_owned() }
    }

    fn failure(&self, what: &str, refusal: Refusal) -> ReadError {
        match refusal {
            Refusal::Other(error) => error,
            Refusal::Expired => self.no_list(what, "it changes faster than it can be read (410)"),
            Refusal::Forbidden => self.no_list(what, "it is forbidden (403)"),
            Refusal::NotFound => self.no_list(what, "it is not there (404)"),
        }
    }
}

/// What an answer that is no success says: the message of a Status, or the beginning of a text.
pub(crate) fn message(body: &impl AsRef<[u8]>) -> String {
    #[derive(Deserialize)]
    struct Status {
        message: String,
    }
    match serde_json::from_slice::<Status>(body.as_ref()) {
        Ok(status) => status.message,
        Err(_) => {
            let text = String::from_utf8_lossy(body.as_ref());
            let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
            line.trim().chars().take(200).filter(|c| !c.is_control()).collect()
        }
    }
}
