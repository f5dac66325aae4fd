//! What the user asks to be kept of each exchange under names of their own, and conversations.

use std::sync::{Arc, Mutex};

use exchange::{Conversation, ConversationSource};

use crate::support::{Running, Service, exchanges, send, serve, settings};

#[tokio::test]
async fn values_that_the_user_names_and_the_conversation_stand_with_the_exchange_and_in_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let service = serve(Arc::new(Service { dependency: Mutex::new(None) })).await;
    let mut settings = settings(service, folder.path());
    settings.annotations =
        ["model=/system_fingerprint", "tenant=header:x-tenant", "vector=request:/features", "no=/no"]
            .map(|text| text.parse().unwrap())
            .to_vec();
    settings.conversation = Some("request:/thread".parse().unwrap());
    let running = Running::start(settings).await;
    let ask = async |fields: &str, body: &str| {
        let len = body.len();
        let head = format!(
            "POST /x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{fields}Content-Length: {len}\r\n\r\n"
        );
        send(running.address(0), &head, body.as_bytes()).await;
    };
    ask("X-Tenant: acme\r\n", r#"{"thread":"t-1","features":[0.10,2]}"#).await;
    ask("Baggage: gen_ai.conversation.id=t%202\r\n", "{}").await;
    ask("", r#"{"messages":[{"role":"user","content":"hi"}]}"#).await;
    running.stop().await;

    let (archive, exchanges) = exchanges(folder.path());
    let noted: Vec<_> = exchanges[0].context.annotations.iter().map(|it| (&it.name[..], it.value.as_deref())).collect();
    assert_eq!(
        noted,
        [("model", Some("\"fp_1\"")), ("tenant", Some("\"acme\"")), ("vector", Some("[0.10,2]"))],
        "as they were written"
    );
    assert_eq!(*archive.entries()[0].context, exchanges[0].context, "short ones are in the index");
    let conversation = |id: &str, how| Some(Conversation { id: id.to_owned(), how });
    assert_eq!(exchanges[0].context.conversation, conversation("t-1", ConversationSource::Given));
    assert_eq!(exchanges[1].context.conversation, conversation("t 2", ConversationSource::Baggage));
    assert_eq!(exchanges[2].context.conversation.as_ref().unwrap().how, ConversationSource::Prefix);
    assert_eq!(archive.sessions()[0].conversation.as_deref(), Some("request:/thread"));
}
