//! Messages of multicast DNS (RFC 6762) as DNS-SD uses them (RFC 6763), read and written.
//!
//! A message is read in place. What is kept of it is at most [`MAX_RECORDS`] records of one service, or as many questions.

use std::net::IpAddr;

use domain::{
    base::{
        MessageBuilder, Name, ParsedName, ParsedRecord, Record, Rtype, Ttl,
        iana::{Class, Opcode},
        message::{Message, Section},
        message_builder::PushError,
        name::FromStrError,
        wire::{Composer, ParseError},
    },
    rdata::{A, Aaaa, AllRecordData, Ptr, Srv, Txt},
};

/// The longest message that is read (RFC 6762, section 17).
pub(super) const MAX_MESSAGE: usize = 9000;
/// The records of a response, and the questions or known answers of a query, that are looked at.
const MAX_RECORDS: usize = 256;
/// The length of a header. The top bit of its third byte tells a response from a query.
const HEADER: usize = 12;

/// How long a name of a host, and what is said of it, may be kept (RFC 6762, section 10).
const HOST_TTL: Ttl = Ttl::from_secs(120);
/// How long the rest may be kept.
const OTHER_TTL: Ttl = Ttl::from_secs(75 * 60);
/// Who knows something for less than that is told again (section 7.1).
const KNOWN_TTL: Ttl = Ttl::from_secs(75 * 30);
/// How long a plain DNS client may keep an answer (section 6.7).
const LEGACY_TTL: Ttl = Ttl::from_secs(10);
/// The class of a record that only its owner has: it replaces what was said before (section 10.2).
const FLUSH: u16 = 0x8000;
/// Where all services of a network are listed (RFC 6763, section 9).
const ALL_SERVICES: &str = "_services._dns-sd._udp.local";

type DnsName = Name<Vec<u8>>;
type Said = AllRecordData<Vec<u8>, DnsName>;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Response,
}

impl Kind {
    /// Looks at the header only. None for what is no message.
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        if !(HEADER..=MAX_MESSAGE).contains(&message.len()) {
            return None;
        }
        let is_response = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
        Some(if is_response {
            Self::Response
        } else {
            Self::Query
        })
    }
}

/// A record of a response, about the service that is looked for. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// An instance is there, or says goodbye.
    Instance { instance: String, is_there: bool },
    /// At which host and port it is.
    Place {
        instance: String,
        host: String,
        port: u16,
    },
    /// What its text record says: the values of `v`, `id` and `name`.
    Text {
        instance: String,
        values: [String; 3],
    },
    /// Where a host is.
    Address { host: String, ip: IpAddr },
}

/// What a response says of the instances of `service`. Fails if it is not as RFC 1035 has it.
pub(super) fn read_response(bytes: &[u8], service: &str) -> Result<Vec<Heard>, ParseError> {
    let message = Message::from_octets(bytes).map_err(|_| ParseError::ShortInput)?;
    if !message.header().qr() || message.header().opcode() != Opcode::QUERY {
        return Ok(Vec::new());
    }
    let mut heard = Vec::new();
    for record in message.iter().take(MAX_RECORDS) {
        let (record, section) = record?;
        let is_in = record.class().to_int() & !FLUSH == Class::IN.to_int();
        if section != Section::Authority && is_in {
            heard.extend(read_record(&record, service)?);
        }
    }
    Ok(heard)
}

fn read_record(
    record: &ParsedRecord<'_, &[u8]>,
    service: &str,
) -> Result<Option<Heard>, ParseError> {
    let owner = text(&record.owner());
    let is_there = record.ttl() != Ttl::ZERO;
    let is_instance = |name: &str| {
        let label = name.strip_suffix(service);
        label.is_some_and(|label| label.len() > 1 && label.ends_with('.'))
    };
    let heard = match record.rtype() {
        Rtype::PTR if owner == service => {
            let data = record.to_record::<Ptr<ParsedName<_>>>()?;
            let target = data.map(|record| text(record.data().ptrdname()));
            let instance = target.filter(|target| is_instance(target));
            instance.map(|instance| Heard::Instance { instance, is_there })
        }
        Rtype::SRV if is_instance(&owner) && is_there => {
            let data = record.to_record::<Srv<ParsedName<_>>>()?;
            data.map(|record| Heard::Place {
                instance: owner,
                host: text(record.data().target()),
                port: record.data().port(),
            })
        }
        Rtype::TXT if is_instance(&owner) && is_there => {
            let data = record.to_record::<Txt<_>>()?;
            data.map(|record| Heard::Text {
                instance: owner,
                values: ["v", "id", "name"].map(|key| value(record.data(), key)),
            })
        }
        Rtype::A if is_there => {
            let data = record.to_record::<A>()?;
            data.map(|record| Heard::Address {
                host: owner,
                ip: record.data().addr().into(),
            })
        }
        Rtype::AAAA if is_there => {
            let data = record.to_record::<Aaaa>()?;
            data.map(|record| Heard::Address {
                host: owner,
                ip: record.data().addr().into(),
            })
        }
        _ => None,
    };
    Ok(heard)
}

/// The value of the first string of that key (RFC 6763, section 6.4); empty if there is none, or if it is no text.
fn value(text: &Txt<&[u8]>, key: &str) -> String {
    let value = |string: &[u8]| {
        let (before, value) = std::str::from_utf8(string).ok()?.split_once('=')?;
        before.eq_ignore_ascii_case(key).then(|| value.to_owned())
    };
    text.iter().find_map(value).unwrap_or_default()
}

fn text(name: &impl ToString) -> String {
    name.to_string().to_ascii_lowercase()
}

/// A question, by name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) kind: Rtype,
}

/// What somebody asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    id: u16,
    questions: Vec<Question>,
    /// Owners and targets of the pointers that it knows (RFC 6762, section 7.1).
    known: Vec<(String, String)>,
}

impl Query {
    /// Fails if it is not as RFC 1035 has it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ParseError> {
        let message = Message::from_octets(bytes).map_err(|_| ParseError::ShortInput)?;
        let mut query = Self {
            id: message.header().id(),
            questions: Vec::new(),
            known: Vec::new(),
        };
        if message.header().qr() || message.header().opcode() != Opcode::QUERY {
            return Ok(query);
        }
        for question in message.question().take(MAX_RECORDS) {
            let question = question?;
            query.questions.push(Question {
                name: text(question.qname()),
                kind: question.qtype(),
            });
        }
        for record in message.answer()?.take(MAX_RECORDS) {
            let record = record?;
            if record.rtype() != Rtype::PTR || record.ttl() < KNOWN_TTL {
                continue;
            }
            if let Some(pointer) = record.to_record::<Ptr<ParsedName<_>>>()? {
                let target = text(pointer.data().ptrdname());
                query.known.push((text(&record.owner()), target));
            }
        }
        Ok(query)
    }

    /// Whether it asks for one of `records` that it does not know.
    pub(super) fn wants(&self, records: &[Told]) -> bool {
        records
            .iter()
            .any(|told| self.asks(told) && !self.knows(told))
    }

    fn asks(&self, told: &Told) -> bool {
        let owner = text(told.owner());
        let is_of = |kind| kind == told.rtype() || kind == Rtype::ANY;
        let mut questions = self.questions.iter();
        questions.any(|question| is_of(question.kind) && question.name == owner)
    }

    fn knows(&self, told: &Told) -> bool {
        let Said::Ptr(pointer) = told.data() else {
            return false;
        };
        let pointer = (text(told.owner()), text(pointer.ptrdname()));
        self.known.contains(&pointer)
    }
}

/// A record that this machine tells.
pub(super) type Told = Record<DnsName, Said>;

/// What is told of one instance of a service, wherever it is.
#[derive(Debug, Clone)]
pub(super) struct Instance {
    service: DnsName,
    name: DnsName,
    host: DnsName,
    all_services: DnsName,
    port: u16,
    text: Vec<u8>,
}

impl Instance {
    /// `label` is one label, and `texts` are pairs of key and value.
    pub(super) fn new(
        service: &str,
        label: &str,
        host: &str,
        port: u16,
        texts: &[(&str, &str)],
    ) -> Result<Self, FromStrError> {
        let mut text = Vec::new();
        for (key, value) in texts {
            let mut string = format!("{key}={value}").into_bytes();
            string.truncate(usize::from(u8::MAX));
            text.push(string.len().try_into().unwrap_or(u8::MAX));
            text.append(&mut string);
        }
        Ok(Self {
            service: service.parse()?,
            name: format!("{label}.{service}").parse()?,
            host: host.parse()?,
            all_services: ALL_SERVICES.parse()?,
            port,
            text,
        })
    }

    /// Its records where its host has the addresses `ips`.
    pub(super) fn records(&self, ips: &[IpAddr]) -> Vec<Told> {
        let shared = |owner: &DnsName, target: &DnsName| {
            let data = Said::Ptr(Ptr::new(target.clone()));
            Record::new(owner.clone(), Class::IN, OTHER_TTL, data)
        };
        let own = |owner: &DnsName, ttl, data| {
            let class = Class::from_int(Class::IN.to_int() | FLUSH);
            Record::new(owner.clone(), class, ttl, data)
        };
        let place = Said::Srv(Srv::new(0, 0, self.port, self.host.clone()));
        let mut records = vec![
            shared(&self.service, &self.name),
            own(&self.name, HOST_TTL, place),
        ];
        let text = Txt::from_octets(self.text.clone()).ok();
        records.extend(text.map(|text| own(&self.name, OTHER_TTL, Said::Txt(text))));
        records.extend(ips.iter().map(|ip| {
            let data = match ip {
                IpAddr::V4(ip) => Said::A(A::new(*ip)),
                IpAddr::V6(ip) => Said::Aaaa(Aaaa::new(*ip)),
            };
            own(&self.host, HOST_TTL, data)
        }));
        records.push(shared(&self.all_services, &self.service));
        records
    }
}

/// A response that nobody asked for, or that everybody hears (RFC 6762, sections 6 and 8.3).
pub(super) fn announcement(records: &[Told]) -> Result<Vec<u8>, PushError> {
    response(0, &[], records.iter(), [].iter())
}

/// The same with no time left: whoever keeps the records forgets them (section 10.1). What others say too stays.
pub(super) fn goodbye(records: &[Told]) -> Result<Vec<u8>, PushError> {
    let mut records = records.to_vec();
    records.retain(|told| text(told.owner()) != ALL_SERVICES);
    records.iter_mut().for_each(|told| told.set_ttl(Ttl::ZERO));
    announcement(&records)
}

/// The answer to one plain DNS client, which does not speak from the port of multicast DNS (section 6.7).
pub(super) fn legacy_answer(records: &[Told], query: &Query) -> Result<Vec<u8>, PushError> {
    let mut records = records.to_vec();
    for told in &mut records {
        told.set_class(Class::IN);
        told.set_ttl(told.ttl().min(LEGACY_TTL));
    }
    let (asked, other): (Vec<_>, Vec<_>) = records.iter().partition(|told| query.asks(told));
    let asks = |question: &&Question| asked.iter().any(|told| text(told.owner()) == question.name);
    let questions: Vec<_> = query.questions.iter().filter(asks).cloned().collect();
    response(query.id, &questions, asked.into_iter(), other.into_iter())
}

fn response<'a>(
    id: u16,
    questions: &[Question],
    answers: impl Iterator<Item = &'a Told>,
    additional: impl Iterator<Item = &'a Told>,
) -> Result<Vec<u8>, PushError> {
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(id);
    message.header_mut().set_qr(true);
    message.header_mut().set_aa(true);
    let mut message = message.question();
    push_questions(&mut message, questions)?;
    let mut message = message.answer();
    for told in answers {
        message.push(told)?;
    }
    let mut message = message.additional();
    for told in additional {
        message.push(told)?;
    }
    Ok(message.finish())
}

/// Asks everybody.
pub(super) fn question(questions: &[Question]) -> Result<Vec<u8>, PushError> {
    let mut message = MessageBuilder::new_vec().question();
    push_questions(&mut message, questions)?;
    Ok(message.finish())
}

fn push_questions<T: Composer>(
    message: &mut domain::base::message_builder::QuestionBuilder<T>,
    questions: &[Question],
) -> Result<(), PushError> {
    for question in questions {
        // A name that was read from the network may be none that can be written; it is not asked for then.
        if let Ok(name) = question.name.parse::<DnsName>() {
            message.push((name, question.kind))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVICE: &str = "_colis._tcp.local";

    fn records() -> Vec<Told> {
        let texts = [("v", "1"), ("id", "abc"), ("name", "anna")];
        let instance = Instance::new(SERVICE, "Anna", "host.local", 8443, &texts).unwrap();
        instance.records(&["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()])
    }

    fn ask(name: &str, kind: Rtype) -> Question {
        Question {
            name: name.to_owned(),
            kind,
        }
    }

    fn query(questions: &[Question]) -> Query {
        Query::read(&question(questions).unwrap()).unwrap()
    }

    #[test]
    fn what_is_told_is_what_is_heard() {
        let instance = || "anna._colis._tcp.local".to_owned();
        let host = || "host.local".to_owned();
        let mut told = vec![
            Heard::Instance {
                instance: instance(),
                is_there: true,
            },
            Heard::Place {
                instance: instance(),
                host: host(),
                port: 8443,
            },
            Heard::Text {
                instance: instance(),
                values: ["1", "abc", "anna"].map(str::to_owned),
            },
        ];
        told.extend(["192.0.2.1", "2001:db8::1"].map(|ip| Heard::Address {
            host: host(),
            ip: ip.parse().unwrap(),
        }));
        let message = announcement(&records()).unwrap();
        assert_eq!(Kind::of(&message), Some(Kind::Response));
        assert_eq!(read_response(&message, SERVICE).unwrap(), told);
        let goodbye = goodbye(&records()).unwrap();
        let gone = Heard::Instance {
            instance: instance(),
            is_there: false,
        };
        assert_eq!(read_response(&goodbye, SERVICE).unwrap(), [gone]);
        let others = read_response(&message, "_other._tcp.local").unwrap();
        assert_eq!(others, told[3..]);
    }

    #[test]
    fn a_query_wants_what_it_asks_for_and_does_not_know() {
        let records = records();
        for (name, kind, wants) in [
            (SERVICE, Rtype::PTR, true),
            ("_COLIS._tcp.local", Rtype::ANY, true),
            (SERVICE, Rtype::SRV, false),
            ("_other._tcp.local", Rtype::PTR, false),
            ("anna._colis._tcp.local", Rtype::SRV, true),
            ("anna._colis._tcp.local", Rtype::TXT, true),
            ("ben._colis._tcp.local", Rtype::TXT, false),
            ("host.local", Rtype::AAAA, true),
            (ALL_SERVICES, Rtype::PTR, true),
        ] {
            assert_eq!(query(&[ask(name, kind)]).wants(&records), wants, "{name}");
        }
        let mut knowing = query(&[ask(SERVICE, Rtype::PTR)]);
        let pointer = (SERVICE.to_owned(), "anna._colis._tcp.local".to_owned());
        knowing.known.push(pointer);
        assert!(!knowing.wants(&records));
    }

    #[test]
    fn names_that_point_at_each_other_and_counts_that_are_not_there_are_refused() {
        let mut circle = announcement(&[]).unwrap();
        circle[7] = 1;
        let header = circle.len() as u8;
        circle.extend([0xc0, header, 0, 12, 0, 1, 0, 0, 0, 120, 0, 2, 0xc0, header]);
        assert!(read_response(&circle, SERVICE).is_err());
        let mut empty = announcement(&[]).unwrap();
        empty[6..8].fill(0xff);
        assert!(read_response(&empty, SERVICE).is_err());
        assert_eq!(Kind::of(&[0; HEADER - 1]), None);
        assert_eq!(Kind::of(&[0; MAX_MESSAGE + 1]), None);
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_are_little_is_kept_of_them(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            at in 0_usize..400,
            value in any::<u8>(),
        ) {
            let mut changed = announcement(&records()).unwrap();
            let at = at % changed.len();
            changed[at] = value;
            for bytes in [&bytes, &changed] {
                if let Ok(heard) = read_response(bytes, SERVICE) {
                    prop_assert!(heard.len() <= MAX_RECORDS);
                }
                if let Ok(query) = Query::read(bytes) {
                    prop_assert!(query.questions.len() <= MAX_RECORDS && query.known.len() <= MAX_RECORDS);
                    prop_assert!(legacy_answer(&records(), &query).is_ok());
                }
            }
        }
    }
}
