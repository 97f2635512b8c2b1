//! What all connections of a process share.

use std::future::pending;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::Config;
use crate::derp;
use crate::error::StartError;
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::origin::AllowedHosts;
use crate::tls::Certificate;
use crate::www::{self, Site};

/// Where the page looks for its settings.
const CONFIG: &str = "/config.json";

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) derp: Option<Arc<derp::Server>>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) hosts: AllowedHosts,
    pub(crate) site: RwLock<Arc<Site>>,
    pub(crate) config: Config,
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) closing: watch::Sender<bool>,
    /// Held by each connection, so that the process knows when the last one is gone.
    pub(crate) connections: Arc<Semaphore>,
}

impl Shared {
    /// The page as it is now.
    pub(crate) fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the process goes down.
    pub(crate) fn closing(&self) -> impl Future<Output = ()> + use<> {
        let mut closing = self.closing.subscribe();
        async move {
            if closing.wait_for(|closing| *closing).await.is_err() {
                pending::<()>().await;
            }
        }
    }

    /// Reads the page and its settings.
    ///
    /// # Errors
    /// When a file can't be read, or the page's headers are not valid.
    pub(crate) fn load_site(config: &Config) -> Result<Site, StartError> {
        let mut site = Site { headers: config.page.headers.build()?, ..Site::default() };
        if let Some(directory) = &config.page.www {
            site.assets = www::load(directory)?;
        }
        if site.has_page()
            && let Some(json) = config.gateway.page_settings()
        {
            site.assets.entry(CONFIG.to_owned()).or_insert_with(|| www::single(CONFIG, json.into()));
        }
        if let Some(path) = &config.page.config {
            let bytes = std::fs::read(path)
                .map_err(|source| StartError::PageConfig { path: path.clone(), source })?;
            site.assets.insert(CONFIG.to_owned(), www::single(CONFIG, bytes.into()));
        }
        Ok(site)
    }

    /// Takes the page into use, and compresses it meanwhile.
    pub(crate) fn publish(self: &Arc<Self>, site: Site) {
        let site = Arc::new(site);
        *self.site.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&site);
        tokio::task::spawn_blocking(move || www::compress_all(&site.assets));
    }

    /// Reads certificates and the page again. What cannot be read stays as it was.
    pub(crate) fn reload(self: &Arc<Self>) {
        match self.certificate.as_ref().map(|certificate| certificate.reload()) {
            Some(Ok(())) => tracing::info!("certificate read again"),
            Some(Err(error)) => tracing::error!(%error, "certificate not read again"),
            None => {}
        }
        if self.config.page.www.is_some() || self.config.page.config.is_some() {
            match Self::load_site(&self.config) {
                Ok(site) => {
                    tracing::info!(files = site.assets.len(), "page read again");
                    self.publish(site);
                }
                Err(error) => tracing::error!(%error, "page not read again"),
            }
        }
    }
}

/// A connection's place among those that may be open. It stays the connection's own when the protocol changes.
pub(crate) struct Place {
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Takes one, if there is one.
    pub(crate) fn take(shared: &Arc<Shared>) -> Option<Self> {
        let permit = Arc::clone(&shared.connections).try_acquire_owned().ok()?;
        shared.metrics.open.add(1);
        Some(Self { shared: Arc::clone(shared), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.metrics.open.sub(1);
    }
}
