//! Which cluster, and how to reach it: a kubeconfig's context, or the cluster around this pod.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::{error::ReadError, proxy, runtime};

/// What was said about the cluster to read; what was not is found as kubectl finds it.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The kubeconfig file; `KUBECONFIG` or `~/.kube/config` when it is not given.
    pub kubeconfig: Option<PathBuf>,
    /// The context; the file's `current-context` when it is not given.
    pub context: Option<String>,
}

/// A cluster that is known but has not been spoken to.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// How messages call it: `context kind-dev`.
    pub title: String,
    /// The context's namespace, or `default`.
    pub namespace: String,
    pub(crate) config: Config,
}

impl Cluster {
    /// No answer: the last of the causes says most.
    pub(crate) fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> ReadError {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let why = causes.last().map(ToString::to_string).unwrap_or_default();
        ReadError::Unreachable { cluster: self.title.clone(), server: self.config.cluster_url.to_string(), why }
    }
}

impl Access {
    /// Finds the cluster. Nothing is sent to it.
    ///
    /// # Errors
    /// When there is none, or the kubeconfig cannot be used.
    pub fn find(&self) -> Result<Cluster, ReadError> {
        let (files, is_given) = self.files();
        let there: Vec<&PathBuf> = files.iter().filter(|file| file.exists()).collect();
        if there.is_empty() {
            return self.without_kubeconfig(&files, is_given);
        }
        let mut merged = Kubeconfig::default();
        for file in there {
            let read = Kubeconfig::read_from(file).map_err(|error| unusable(file, &error))?;
            merged = merged.merge(read).map_err(|error| unusable(file, &error))?;
        }
        self.context_of(merged, &listed(&files))
    }

    /// The kubeconfig files to look at, and whether somebody named them.
    fn files(&self) -> (Vec<PathBuf>, bool) {
        if let Some(file) = &self.kubeconfig {
            return (vec![file.clone()], true);
        }
        let named: Vec<PathBuf> = env::var_os("KUBECONFIG")
            .map(|value| env::split_paths(&value).filter(|path| path.as_os_str() != OsStr::new("")).collect())
            .unwrap_or_default();
        if !named.is_empty() {
            return (named, true);
        }
        (env::home_dir().map(|home| home.join(".kube").join("config")).into_iter().collect(), false)
    }

    fn without_kubeconfig(&self, files: &[PathBuf], is_given: bool) -> Result<Cluster, ReadError> {
        if is_given {
            let by = if self.kubeconfig.is_some() { "--kubeconfig" } else { "KUBECONFIG" };
            return Err(ReadError::NoCluster(format!("{by} names {}, which does not exist", listed(files))));
        }
        let missing = match files {
            [] => "there is no home folder with a kubeconfig".to_owned(),
            files => format!("{} does not exist", listed(files)),
        };
        if let Some(context) = &self.context {
            return Err(ReadError::NoCluster(format!("--context {context} needs a kubeconfig, and {missing}")));
        }
        if env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
            return Err(ReadError::NoCluster(format!(
                "KUBECONFIG is not set, {missing}, and this is no pod of a cluster"
            )));
        }
        let config = Config::incluster().map_err(|error| {
            ReadError::NoCluster(format!("{missing}, and the service account of this pod cannot be used: {error}"))
        })?;
        Ok(Cluster { title: "the cluster of this pod".to_owned(), namespace: config.default_namespace.clone(), config })
    }

    fn context_of(&self, kubeconfig: Kubeconfig, files: &str) -> Result<Cluster, ReadError> {
        let known: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
        let known = match known.as_slice() {
            [] => "it has no contexts".to_owned(),
            names => format!("it has {}", names.join(", ")),
        };
        let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let Some(name) = self.context.clone().or(current) else {
            return Err(ReadError::Kubeconfig(format!(
                "{files} has no current-context: choose one with --context ({known})"
            )));
        };
        let Some(found) = kubeconfig.contexts.iter().find(|context| context.name == name) else {
            return Err(ReadError::Kubeconfig(format!("there is no context `{name}` in {files}; {known}")));
        };
        let context = found.context.clone().unwrap_or_default();
        // As kubectl, and unlike the client: without its user the server would be asked as nobody.
        let user = context.user.as_deref().filter(|user| !user.is_empty());
        if let Some(user) = user.filter(|user| !kubeconfig.auth_infos.iter().any(|known| known.name == **user)) {
            return Err(ReadError::Kubeconfig(format!(
                "the context `{name}` uses the user `{user}`, which is not in {files}"
            )));
        }
        let own_proxy = kubeconfig
            .clusters
            .iter()
            .find(|known| known.name == context.cluster)
            .and_then(|known| known.cluster.as_ref()?.proxy_url.as_deref())
            .is_some_and(|url| !url.is_empty());
        let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
        let config = runtime()?.block_on(Config::from_custom_kubeconfig(kubeconfig, &options));
        let mut config = config.map_err(|error| {
            ReadError::Kubeconfig(format!("the context `{name}` of {files} cannot be used: {error}"))
        })?;
        if !matches!(config.cluster_url.scheme_str(), Some("http" | "https")) {
            return Err(ReadError::Kubeconfig(format!(
                "the server of the context `{name}` of {files} is `{}`, which is no address such as https://host:6443",
                config.cluster_url
            )));
        }
        if !own_proxy {
            config.proxy_url = proxy::of_environment(&config.cluster_url.to_string())
                .map(|url| url.parse())
                .transpose()
                .map_err(|error| ReadError::Kubeconfig(format!("the proxy of the environment is no URL: {error}")))?;
        }
        let namespace = context.namespace.filter(|namespace| !namespace.is_empty());
        let namespace = namespace.unwrap_or_else(|| "default".to_owned());
        Ok(Cluster { title: format!("context {name}"), namespace, config })
    }
}

fn unusable(file: &Path, error: &dyn std::error::Error) -> ReadError {
    ReadError::Kubeconfig(format!("{} is no kubeconfig that can be read: {error}", file.display()))
}

fn listed(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}
