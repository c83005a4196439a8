//! One connection to Redis: to its one server, or to all of a Redis Cluster.

use std::fmt;

use redis::aio::{AsyncPushSender, ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, PushInfo, RedisFuture,
    RedisResult, Value, cmd,
};

use super::address::Address;
use crate::cluster::name::Group;
use crate::limits::{REDIS_COMMAND, REDIS_CONNECT};

/// A connection. Clones share it: commands of all go out one behind the other, and each ends within
/// [`REDIS_COMMAND`].
#[derive(Clone)]
pub enum Wire {
    /// To one server.
    One(MultiplexedConnection),
    /// To all servers of a cluster: the crate knows which has what.
    Cluster(ClusterConnection),
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if matches!(self, Self::One(_)) { "Wire::One" } else { "Wire::Cluster" })
    }
}

impl Wire {
    /// Connects and logs in. `heard` is called for what is published; it must not wait.
    ///
    /// # Errors
    /// What Redis, or the network, says.
    pub async fn connect<F>(address: &Address, heard: Option<F>) -> RedisResult<Self>
    where
        F: Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    {
        use_tls();
        let all = async {
            if address.cluster {
                return cluster(address, heard).await.map(Self::Cluster);
            }
            let mut config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(REDIS_CONNECT))
                .set_response_timeout(Some(REDIS_COMMAND));
            if let Some(heard) = heard {
                config = config.set_push_sender(heard);
            }
            let client = Client::open(address.servers[0].clone())?;
            client.get_multiplexed_async_connection_with_config(&config).await.map(Self::One)
        };
        let late = |_| redis::RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        tokio::time::timeout(2 * REDIS_CONNECT, all).await.map_err(late)?
    }

    /// Has what is published to these heard. In a cluster `sharded` names are heard from the server
    /// that has them.
    ///
    /// # Errors
    /// What Redis, or the network, says.
    pub async fn subscribe(&mut self, names: &[String], sharded: bool) -> RedisResult<()> {
        match self {
            Self::One(wire) => wire.subscribe(names).await,
            Self::Cluster(wire) if sharded => {
                each(names, |name| {
                    let mut wire = wire.clone();
                    async move { wire.ssubscribe(name).await }
                })
                .await
            }
            Self::Cluster(wire) => wire.subscribe(names).await,
        }
    }

    /// The opposite of [`Wire::subscribe`].
    ///
    /// # Errors
    /// What Redis, or the network, says.
    pub async fn unsubscribe(&mut self, names: &[String], sharded: bool) -> RedisResult<()> {
        match self {
            Self::One(wire) => wire.unsubscribe(names).await,
            Self::Cluster(wire) if sharded => {
                each(names, |name| {
                    let mut wire = wire.clone();
                    async move { wire.sunsubscribe(name).await }
                })
                .await
            }
            Self::Cluster(wire) => wire.unsubscribe(names).await,
        }
    }

    /// The run ids as they are now.
    ///
    /// # Errors
    /// What Redis, or the network, says.
    pub async fn runs(&mut self) -> RedisResult<Runs> {
        let info = cmd("INFO").arg("server").to_owned();
        let wire = match self {
            Self::One(wire) => {
                return Ok(Runs(vec![run_id(&wire.send_packed_command(&info).await?)]));
            }
            Self::Cluster(wire) => wire,
        };
        let of = |key: String| {
            let route = Route::with_key(key, SlotAddr::Master);
            let route = SingleNodeRoutingInfo::SpecificNode(route);
            let (mut wire, info) = (wire.clone(), info.clone());
            async move {
                let answer = wire.route_command(info, RoutingInfo::SingleNode(route)).await;
                answer.map(|answer| run_id(&answer))
            }
        };
        let keys = Group::all().map(|group| group.to_string()).chain(["{nodes}".to_owned()]);
        Ok(Runs(futures_util::future::try_join_all(keys.map(of)).await?))
    }

    /// A command that any server of a cluster answers for itself.
    ///
    /// # Errors
    /// What Redis, or the network, says.
    pub async fn any(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(wire) => wire.send_packed_command(command).await,
            Self::Cluster(wire) => {
                let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
                wire.route_command(command.clone(), any).await
            }
        }
    }
}

/// The run ids of the processes that Redis consists of: one that was started anew has another, and may
/// lack anything. One for all; or in a cluster one for each group of channels, and the last for what is
/// known of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs(Vec<Box<str>>);

impl Runs {
    /// That of the process that has what is known of nodes.
    #[must_use]
    pub fn of_nodes(&self) -> &str {
        self.0.last().map_or("", |id| id)
    }

    /// That of the process that has the group.
    #[must_use]
    pub fn of(&self, group: Group) -> &str {
        let at = if self.0.len() > 1 { usize::from(group.number()) } else { 0 };
        self.0.get(at).map_or("", |id| id)
    }
}

/// The run id in what INFO says.
fn run_id(info: &Value) -> Box<str> {
    let text = String::from_redis_value_ref(info).unwrap_or_default();
    let id = text.lines().find_map(|line| line.strip_prefix("run_id:"));
    id.unwrap_or_default().trim().into()
}

/// Does it for each name, all at once: names of a cluster lie at different servers.
async fn each<'a, T, F>(names: &'a [String], act: T) -> RedisResult<()>
where
    T: Fn(&'a String) -> F,
    F: Future<Output = RedisResult<()>>,
{
    futures_util::future::try_join_all(names.iter().map(act)).await.map(|_| ())
}

async fn cluster(
    address: &Address,
    heard: Option<impl AsyncPushSender>,
) -> RedisResult<ClusterConnection> {
    let mut builder = ClusterClientBuilder::new(address.servers.iter().cloned())
        .connection_timeout(REDIS_CONNECT)
        .response_timeout(REDIS_COMMAND)
        .overall_response_timeout(Some(REDIS_COMMAND));
    if let Some(heard) = heard {
        builder = builder.push_sender(heard);
    }
    builder.build()?.get_async_connection().await
}

/// Which cryptography TLS uses is said once in a process. If somebody said so before, that holds.
fn use_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(wire) => wire.req_packed_command(cmd),
            Self::Cluster(wire) => wire.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(wire) => wire.req_packed_commands(cmd, offset, count),
            Self::Cluster(wire) => wire.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(wire) => wire.get_db(),
            Self::Cluster(wire) => wire.get_db(),
        }
    }
}
