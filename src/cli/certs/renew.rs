//! `certs renew`: the same key under a new certificate.

use serde_json::json;

use crate::{
    cli::{
        Context,
        ask::Asked,
        report::{ExitCode, Failure},
    },
    client::ClientOptions,
    manifest::Timestamp,
    peer::after_the_end,
    session::{Session, Whom},
    store::StoreError,
    tls::{self, Caller, CertsDir, Inspected, Renewed, Seen, ca},
};

/// Renews a certificate of `dir`: here, if the circle's key is here; else by the peer `from`, or by the one that made the
/// circle.
pub(super) async fn run(
    context: &Context,
    dir: &CertsDir,
    from: Option<&str>,
    which: Renewed,
) -> Result<(), Failure> {
    let before = serial(dir, which);
    let caller = match from {
        None if dir.ca_key().exists() => {
            Asked::known_peers(context).await;
            ca::renew_own(dir, which)?
        }
        from => ask(context, dir, from, which).await?,
    };
    let (purpose, what) = match which {
        Renewed::Peer => ("peer", caller.name.clone()),
        Renewed::Script => (
            "script",
            format!("the certificate for scripts of {}", caller.name),
        ),
    };
    let until = caller.not_after;
    let is_new = before.as_ref() != Some(&caller.serial);
    context.output.line(match is_new {
        true => format!("renewed: {what} is valid until {until}"),
        false => format!("not renewed yet: {what} is valid until {until}"),
    });
    if !is_new {
        let from = ca::renewable_from(&caller);
        context.output.talk(format!(
            "the circle's machine renews a certificate when a third of its time is over: from {from}"
        ));
    }
    context.output.object(
        "renewed",
        &json!({"name": caller.name, "purpose": purpose, "not_after": until, "new": is_new}),
    );
    Ok(())
}

/// Renews the circle's own certificate.
pub(super) fn circle(context: &Context, dir: &CertsDir) -> Result<(), Failure> {
    let until = ca::renew_circle(dir)?;
    let output = context.output;
    output.line(format!(
        "renewed: the circle's own certificate is valid until {until}"
    ));
    output.object(
        "renewed",
        &json!({"purpose": "circle", "not_after": until, "new": true}),
    );
    output.talk(
        "a peer serving this home shows it within a second; the others take it over when they meet one that has it, by themselves if they serve",
    );
    Ok(())
}

/// Has it renewed by another machine.
async fn ask(
    context: &Context,
    dir: &CertsDir,
    from: Option<&str>,
    which: Renewed,
) -> Result<Caller, Failure> {
    let us = context.session()?;
    let from = match from {
        Some(peer) => peer.to_owned(),
        None => maker(&us)?,
    };
    let request = tls::renewal_request(dir, which)?;
    let (own, now) = (us.identity.caller().not_after, Timestamp::now());
    let asked = match own < now {
        true => ask_ended(&us, &from, &request).await,
        false => match us.connect(&from).await {
            Ok(reached) => reached.client.renew(&request).await.map_err(failed),
            Err(error) => Err(error.into()),
        },
    };
    let pem = asked.map_err(|failure| match now > ca::last_renewal(own) {
        true => failure.hint(after_the_end(dir, Renewed::Peer, own, now)),
        false => failure,
    })?;
    let renewed = tls::install_renewed(dir, which, &pem)?;
    // The circle's own certificate may have been renewed too. Whoever does not answer now is asked the next time.
    if us.circle.now().is_near_its_end(now)
        && let Ok(us) = context.session()
    {
        let _ = us.connect(&from).await;
    }
    Ok(renewed)
}

/// What the machine that made the circle is called here.
fn maker(us: &Session) -> Result<String, Failure> {
    let circle = us.circle.now();
    let known = match circle.maker() {
        Some(name) => us.book.by_certificate_name(name)?,
        None => None,
    };
    let unknown = || {
        Failure::new(
            ExitCode::NotFound,
            "it is not known which machine made the circle",
        )
        .hint("name it: colis certs renew --from PEER")
    };
    Ok(known.ok_or_else(unknown)?.name)
}

/// Asks as somebody whose certificate has ended: nothing else is answered, so the peer is not asked who it is. Its handshake
/// has shown that.
async fn ask_ended(us: &Session, from: &str, request: &str) -> Result<String, Failure> {
    let (addresses, expected) = match Whom::parse(from, &us.book)? {
        Whom::At(address) => (vec![address], None),
        Whom::Known(known) => {
            let addresses = known.addresses.iter().filter_map(|a| a.parse().ok());
            (addresses.collect(), Some(known.peer_id))
        }
    };
    let mut last = Failure::new(ExitCode::NotFound, format!("no address of {from} is known"))
        .hint("say where it is: colis certs renew --from HOST:PORT");
    for address in addresses {
        let client = us.client(
            &address,
            expected,
            &Seen::default(),
            ClientOptions::default(),
        )?;
        match client.renew(request).await {
            Ok(pem) => return Ok(pem),
            Err(error) => last = failed(error),
        }
    }
    Err(last)
}

fn failed(error: StoreError) -> Failure {
    match error {
        StoreError::NotFound { .. } => Failure::new(
            ExitCode::NotFound,
            "the circle's key is not on that machine",
        )
        .hint("ask the machine that made the circle: colis certs renew --from PEER"),
        other => other.into(),
    }
}

/// The serial number of the certificate in use, if it can be read.
fn serial(dir: &CertsDir, which: Renewed) -> Option<Vec<u8>> {
    let inspected = Inspected::of(dir, which).ok();
    inspected.map(|inspected| inspected.caller.serial)
}
