//! The rules of presence, row by row, over real sockets.

use herenow_protocol::Event;

use crate::broker::Broker;

#[tokio::test]
async fn the_first_source_joins_the_second_tab_is_silent() {
    let broker = Broker::start();
    let mut observer = broker.connect("observer").await;
    let mut replica = observer.observe("room").await;
    let mut tab1 = broker.connect("ada").await;
    let mut tab2 = broker.connect("ada").await;
    tab1.ok("join room").await;
    let frame = observer.next().await;
    replica.apply(&frame);
    tab2.ok("join room").await;
    let mut bob = broker.connect("bob").await;
    bob.ok("join room").await;
    let Event::Join { user, .. } = observer.event().await else { panic!("no join") };
    assert_eq!(user.as_str(), "bob");
}
