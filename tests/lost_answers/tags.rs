//! Tags on a container group: set by PATCH alone, beside what others wrote, and never lost with an answer.

use std::collections::BTreeMap;

use deploy_action::{azure::container_groups, domain::InstanceName, observe::Instance};
use serde_json::{Value, json};

use crate::{
    azure, overloaded,
    small_server::{Reply, Request, Server},
};

/// A container group that Azure keeps; `on_patch` says whether the nth PATCH is taken, and how it is answered.
async fn keeping(mut on_patch: impl FnMut(usize) -> (bool, Option<Reply>) + Send + 'static) -> Server {
    let mut kept = json!({"name": "aci-staging-green", "tags": {"team": "shop", "deploy-action-role": "canary"},
                          "properties": {"provisioningState": "Succeeded"}});
    let mut patches = 0;
    Server::start(move |request: &Request| match request.method.as_str() {
        "GET" => Reply::Answer(200, kept.clone()),
        "PATCH" => {
            patches += 1;
            let (taken, reply) = on_patch(patches);
            if taken {
                kept["tags"] = request.body["tags"].clone();
            }
            reply.unwrap_or_else(|| Reply::Answer(200, kept.clone()))
        }
        other => panic!("{other} was not expected"),
    })
    .await
}

async fn tag(server: &Server) -> Option<Instance> {
    let name: InstanceName = "aci-staging-green".parse().expect("a name");
    let tags = BTreeMap::from([("deploy-action-role".to_owned(), "stable".to_owned())]);
    container_groups::tag(&azure(server), "staging-nextgen", &name, &tags).await.expect("an answer")
}

#[tokio::test]
async fn a_tag_is_one_patch_that_keeps_the_others() {
    let server = keeping(|_| (true, None)).await;
    let instance = tag(&server).await.expect("an instance");
    assert_eq!((instance.tags.role.as_deref(), instance.tags.others["team"].as_str()), (Some("stable"), "shop"));
    let sent: Vec<Value> = server.requests().into_iter().map(|request| request.body).filter(|body| !body.is_null()).collect();
    assert_eq!(sent, [json!({"tags": {"team": "shop", "deploy-action-role": "stable"}})]);
    assert!(tag(&server).await.is_some());
    assert_eq!(server.methods().join(" "), "GET PATCH GET", "what is set already is not sent");
}

#[tokio::test]
async fn a_lost_answer_is_looked_for() {
    let taken = keeping(|_| (true, Some(overloaded()))).await;
    assert_eq!(tag(&taken).await.and_then(|instance| instance.tags.role).as_deref(), Some("stable"));
    assert_eq!(taken.methods().join(" "), "GET PATCH GET");
    let not_taken = keeping(|nth| if nth < 3 { (false, Some(overloaded())) } else { (true, None) }).await;
    assert_eq!(tag(&not_taken).await.and_then(|instance| instance.tags.role).as_deref(), Some("stable"));
    assert_eq!(not_taken.methods().join(" "), "GET PATCH GET PATCH GET PATCH");
}

#[tokio::test]
async fn an_instance_that_is_gone_has_no_tags() {
    let server = Server::start(|_| Reply::Answer(404, json!({"error": {"code": "ResourceNotFound", "message": "gone"}}))).await;
    assert_eq!(tag(&server).await, None);
}
