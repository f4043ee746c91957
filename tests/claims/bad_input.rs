//! Bad input: every row of the table in `docs/bad-input.md`, tried over the surface where it comes in: sockets, the
//! command line, files. Each row is a test of its own name.

mod body;
mod certs;
mod cli;
mod config;
mod headers;
mod manifest;
mod name;
pub(crate) mod parcel;
mod path;
mod store;
mod tls;

/// One row of the table.
struct Row {
    number: u8,
    surface: &'static str,
    input: &'static str,
    answer: &'static str,
    /// The tests of the row; none if it does not apply, which its answer explains.
    tests: &'static [&'static str],
}

/// How the answer of a row begins that does not apply.
const NOT_HERE: &str = "does not apply: ";

/// Makes the table, and a test of each function in it.
macro_rules! rows {
    ($($number:literal, $surface:literal, $input:literal => $answer:literal $(, $room:ident::$test:ident)*;)*) => {
        const ROWS: &[Row] = &[$(Row {
            number: $number,
            surface: $surface,
            input: $input,
            answer: $answer,
            tests: &[$(stringify!($test)),*],
        }),*];

        $($(
            #[test]
            fn $test() {
                $room::$test();
            }
        )*)*
    };
}

rows! {
    1, "TLS", "plain HTTP to the TLS port" =>
        "closed, no HTTP answer; logged, at most 10 times in 10 s",
        tls::row_1_plain_http_to_the_tls_port;
    2, "TLS", "a hello of TLS 1.2, TLS 1.1 or SSL 3" =>
        "closed with an alert: `protocol_version`, or `handshake_failure` where the hello has nothing of ours",
        tls::row_2_older_versions_of_tls;
    3, "TLS", "no client certificate" =>
        "alert `certificate_required`; the address is logged",
        tls::row_3_no_client_certificate;
    4, "TLS", "a certificate of another circle" =>
        "alert `unknown_ca`, logged; the program as a client: exit 4 and what to compare",
        tls::row_4_a_certificate_of_another_circle;
    5, "TLS", "a revoked peer" =>
        "alert `certificate_revoked`; the program as a client: exit 4, `revoked`, and whom to ask",
        tls::row_5_a_revoked_peer;
    6, "TLS", "a member's certificate with another key" =>
        "alert `decrypt_error`",
        tls::row_6_the_right_certificate_with_another_key;
    7, "TLS", "an expired certificate, or one that is not yet valid" =>
        "alert `certificate_expired`, but the circle's machine renews one for 90 days after its end and answers everything else with 403 `certificate-expired`; a client that meets such a server: exit 4 with the date and its own clock",
        tls::row_7_expired_or_not_yet_valid;
    8, "TLS", "a certificate for an RSA-1024 or Ed448 key, or signed with SHA-1, even by the circle itself" =>
        "the handshake fails with an alert",
        tls::row_8_weak_or_foreign_kinds_of_keys;
    9, "TLS", "a chain of 10 certificates; a stranger's certificate of more than 4 KiB" =>
        "alert `bad_certificate`; alert `unknown_ca`. A member's own circle may come along, as curl sends it",
        tls::row_9_long_chains_and_large_certificates;
    10, "TLS", "a handshake that stalls at its beginning or in the middle" =>
        "closed after 5 s; others are served meanwhile",
        tls::row_10_a_stalled_handshake;
    11, "TLS", "early data, session tickets" =>
        "no ticket is ever given, so there is nothing to resume: each handshake is a full one",
        tls::row_11_tickets_and_early_data;
    12, "TLS", "ALPN with nothing but `h2`, `smtp`..." =>
        "alert `no_application_protocol`",
        tls::row_12_an_unknown_protocol;
    13, "TLS", "another peer answers than the one that is known at this address" =>
        "exit 4, naming both ids; nothing is sent",
        tls::row_13_another_peer_answers;
    14, "path", "an id of 63 or 65 digits, or of other letters" =>
        "400 `bad-id`",
        path::row_14_ids_of_63_and_65_digits;
    15, "path", "an id in upper case, wholly or in one digit" =>
        "400 `bad-id`: one spelling only",
        path::row_15_upper_case_hex;
    16, "path", "`..%2f..%2fetc%2fpasswd`, `%00`, `%c0%ae`, an escaped digit, `..`; `//`; `\\`, NUL, a space" =>
        "400 `bad-id`; 404 `no-such-route`; 400. A path of the disk is made from 32 parsed bytes, never from text",
        path::row_16_paths_that_climb;
    17, "path", "an unknown route; an unknown method" =>
        "404 `no-such-route`; 405 `method-not-allowed` with `Allow`",
        path::row_17_unknown_routes_and_methods;
    18, "path", "a path of more than 256 bytes, a query of more than 2 KiB; a megabyte of them" =>
        "414 `uri-too-long`; closed, or 414 or 431 without a body",
        path::row_18_long_addresses;
    19, "path", "`TRACE`; `CONNECT`; a whole URL of another host" =>
        "405 `method-not-allowed`; 404 `no-such-route`; answered by its path as any other (RFC 9112, section 3.2.2): hosts are never compared, the certificate says who is meant, and nothing is fetched for anybody",
        path::row_19_trace_connect_and_absolute_form;
    20, "headers", "two `Host`, or none" =>
        "400 `bad-header`",
        headers::row_20_two_hosts_or_none;
    21, "headers", "more than 64 fields, or a head of more than 16 KiB" =>
        "431",
        headers::row_21_large_heads;
    22, "headers", "`Content-Length` beside `Transfer-Encoding`; two lengths, `-1`, `1e3`, 2^64, a space before the colon" =>
        "411 `length-required`; 400; closed, and what follows is no second request",
        headers::row_22_bodies_of_unclear_length;
    23, "headers", "a body without `Content-Length`" =>
        "411 `length-required`",
        headers::row_23_a_chunk_without_its_length;
    24, "headers", "`Content-Encoding: gzip` or another" =>
        "415 `unsupported-media-type`; nothing is ever decompressed",
        headers::row_24_encoded_bodies;
    25, "headers", "a manifest, an offer or a question of another `Content-Type`, or two" =>
        "415 `unsupported-media-type`; 400 `bad-header`",
        headers::row_25_other_types_of_manifests;
    26, "headers", "a `Range` beyond the end; one that is no range of bytes, or several" =>
        "416 `range-not-satisfiable` with the length; the whole chunk, as RFC 9110 says",
        headers::row_26_ranges;
    27, "headers", "an unknown `Expect`" =>
        "417 `expectation-failed`",
        headers::row_27_unknown_expectations;
    28, "body", "a chunk of more than 64 MiB + 28 bytes, a manifest of more than 8 MiB, a `GET` with a body" =>
        "413 `too-large` before a byte is read, also before `100 Continue`",
        body::row_28_a_body_that_is_too_large;
    29, "body", "a body that ends early" =>
        "400 `short-body` if anybody still listens; nothing is stored",
        body::row_29_a_body_that_ends_early;
    30, "body", "bytes whose SHA-256 is not the id in the path" =>
        "422 `hash-mismatch` with both ids; nothing is stored",
        body::row_30_bytes_of_another_id;
    31, "body", "0 to 28 bytes as a chunk" =>
        "422 `chunk-too-short`",
        body::row_31_less_than_nonce_and_tag;
    32, "body", "a body that stops, or brings less than 16 KiB/s" =>
        "408 `slow-body` and closed: after 10 s in which nothing came, or once the average after 5 s is below that",
        body::row_32_slow_bodies;
    33, "body", "a chunk that is there already" =>
        "200 `already-there`; its lease is renewed",
        body::row_33_a_chunk_that_is_there;
    34, "body", "a chunk over the quota; a full disk" =>
        "507 `quota-exceeded`, 507 `no-space`, with bytes needed, free and allowed",
        body::row_34_a_full_store;
    35, "body", "a disk whose sync fails" =>
        "503 `storage-failed` for every write from then on, and `read-only` in the health; reads go on; heals when the peer is started again",
        store::row_35_a_disk_that_fails;
    36, "body", "more bodies or requests of one peer than its share" =>
        "503 `busy`, 429 `too-many-requests`, with `Retry-After: 1`; those before go on",
        body::row_36_too_much_at_once;
    37, "body", "a chunk that is not there" =>
        "404 `no-such-chunk`",
        body::row_37_an_absent_chunk;
    38, "body", "a chunk that is not for this peer" =>
        "200 for a member of the circle, who may fetch every sealed chunk; 404 `no-such-chunk`, as for one that is not there, for a role that does not see it",
        body::row_38_a_chunk_that_is_not_for_this_peer;
    39, "body", "stored bytes that are damaged: flipped, cut, longer, empty" =>
        "404 `no-such-chunk`, never 200; set aside in `corrupt/`, and healed by being put again",
        body::row_39_stored_bytes_that_are_damaged;
    40, "path", "`limit=0`, 10001, `abc`; `after=abc`; an unknown or a double field; a cursor that nobody gave out" =>
        "400 `bad-limit`; 400 `bad-cursor`; 400 `bad-query`; a page: a cursor is only a place in the order",
        path::row_40_limits_and_cursors_of_lists;
    41, "manifest", "no UTF-8, a byte order mark, bytes before or after, `NaN`, a field twice, an unknown one, a thousand brackets; in the envelope and in what is signed" =>
        "400 `manifest-syntax` with the place",
        manifest::row_41_bytes_that_are_no_manifest;
    42, "manifest", "more than 8 MiB" =>
        "413 `too-large`",
        manifest::row_42_a_manifest_that_is_too_large;
    43, "manifest", "`v` is 0 or 2; `\"1\"`, 1.0, -1" =>
        "422 `unsupported-version`; 400 `manifest-syntax`",
        manifest::row_43_other_versions;
    44, "manifest", "another `payloadType`; an unknown kind of wrap" =>
        "422 `unsupported-type`; 400 `manifest-syntax`",
        manifest::row_44_other_kinds_of_payload_and_wrap;
    45, "manifest", "a signature that is flipped, of another key, of another text, zero, or with a high s" =>
        "422 `bad-signature`",
        manifest::row_45_bad_signatures;
    46, "manifest", "a signer of another circle, or revoked; a certificate that is not the sender's" =>
        "403 `untrusted-signer`; 403 `sender-mismatch`",
        manifest::row_46_signers_that_do_not_count;
    47, "manifest", "a bad MAC after a good signature" =>
        "does not apply: there is no MAC beside the signature, which covers every byte of the manifest";
    48, "manifest", "a wrapped key that is not the committed one" =>
        "exit 5, `key commitment mismatch`; nothing is written",
        manifest::row_48_a_key_that_is_not_the_committed_one;
    49, "manifest", "a transfer that is not addressed to us" =>
        "exit 4, and whom to ask",
        manifest::row_49_a_transfer_for_somebody_else;
    50, "manifest", "no chunks, too many, an id twice, ids that do not fit the size, odd chunk sizes, `expires` not after `created`" =>
        "422 `manifest-invariant` naming the field",
        manifest::row_50_fields_that_contradict_each_other;
    51, "manifest", "published before its chunks" =>
        "409 `missing-chunks` with the first 1,000 ids and the count",
        manifest::row_51_chunks_that_are_missing;
    52, "manifest", "expired; made more than 24 hours ahead" =>
        "422 `expired`; 422 `from-the-future`; both with both times",
        manifest::row_52_expired_or_from_the_future;
    53, "manifest", "a transfer that was received before, as it was or under another manifest of its sender" =>
        "200 `already-there` or `already-received`; no second file",
        manifest::row_53_a_transfer_that_was_received;
    54, "manifest", "599,999 or 2,000,001 iterations; a text, a negative or broken number" =>
        "422 `kdf-params` before anything is computed; 400 `manifest-syntax`",
        manifest::row_54_costs_outside_of_the_window;
    55, "manifest", "2 password wraps, 65 wraps, two for one peer, none for the sender, wrong lengths; base64 in another spelling" =>
        "422 `bad-wrap`; 400 `manifest-syntax`",
        manifest::row_55_wraps_that_nobody_may_try;
    56, "manifest", "a wrong password" =>
        "exit 4, `wrong password`, never damage; nothing is written. A terminal or a script may ask again",
        manifest::row_56_a_wrong_password;
    57, "manifest", "sealed sizes that do not add up, sums of other bytes, chunks in another order" =>
        "exit 5; nothing gets a final name, and nothing stays staged",
        manifest::row_57_content_that_is_not_what_was_signed;
    58, "name", "an empty name, `.`, `..`, anywhere in a path" =>
        "exit 5, the whole table is refused as hostile; nothing is written",
        name::row_58_no_name_or_dots;
    59, "name", "`/abs`, `a//b`, `a/b` without its folder; `a\\b`, `C:x`, `\\\\srv\\x`; links that lead out, or are at the top" =>
        "exit 5, refused; `a_b`, `C_x`, `__srv_x`; skipped and said",
        name::row_59_paths_that_lead_elsewhere;
    60, "name", "NUL; line feed, escape sequences, C1, DEL, U+2028" =>
        "exit 5, refused; each becomes `_` on the disk and an escape wherever it is shown",
        name::row_60_controls;
    61, "name", "bidirectional overrides and isolates, zero width, byte order mark, soft hyphen, tags, variation selectors, blanks other than the space" =>
        "each becomes `_`: `photo<U+202E>gpj.exe` cannot pose as a photo",
        name::row_61_what_hides_or_reorders;
    62, "name", "`CON`, `nul.txt`, `COM¹`, `LPT0`; a last dot or space; `a:b`; where the file system refuses them: `*`, `?`, quotes, letters, a normal form" =>
        "`_CON`...; `_` in its place, there only, or the other form. Each new name is said, and a link to it follows, also through other links",
        name::row_62_names_of_devices;
    63, "name", "a leading `-` or `.` at the top of a transfer" =>
        "`_` before it",
        name::row_63_leading_dashes_and_dots;
    64, "name", "more than 255 bytes, no UTF-8, a lone surrogate; on the sender's disk: no UTF-8, too long as text, the name of something beside it as text; a path too deep or too long" =>
        "refused, exit 5 or 3; sent as `%FF`; exit 2 at the sender, who can rename it; numbered, and said; exit 2, and to send a folder further down",
        name::row_64_long_names_and_names_that_are_no_text;
    65, "name", "a name that is taken by a file, a folder, a link; twins in case or normal form; one name twice in a table, a file that is a folder too" =>
        "` (2)`; names of their own, with ` (2)` and said so where the file system takes both for one (what only the file system knows to be one: exit 7, nothing stays); exit 5, and the inbox refuses it for good. A transfer of which every entry is there, identical, under its name or under ` (2)`..., is already there; of another one each entry at its top that is not there, identical, is written whole, under ` (2)` where its name is taken. Nothing is ever written over",
        name::row_65_names_that_are_taken;
    66, "name", "the destination, `received/` or its staging is a link, a FIFO, a file; a FIFO has the name" =>
        "exit 7, `unsafe destination`; ` (2)`. No link is followed",
        name::row_66_a_destination_that_is_no_folder;
    67, "command line", "an unknown command or flag, a missing value; two sources of one name" =>
        "exit 2 and the usage",
        cli::row_67_commands_that_are_none;
    68, "command line", "`--password=SECRET`, `--password SECRET`" =>
        "exit 2: the flag takes no value; exit 6: it is taken for a path, and the hint says where a password comes from. Nothing is sent",
        cli::row_68_a_password_on_the_command_line;
    69, "command line", "a password that is empty, longer than 1,024 bytes, or newly chosen and shorter than 12 characters; one that is no UTF-8, a descriptor that is closed; its last line end" =>
        "exit 2, `password-length`; exit 2; taken off once",
        cli::row_69_passwords_of_bad_length;
    70, "command line", "a source that is missing; a FIFO, a socket, a device; a file of `/proc` or `/sys`; unreadable" =>
        "exit 6; 7; 7; 7; each naming it. In a folder what cannot be sent is left out and said, and exit 10 if it cannot be read, also in a dry run; links there are sent as links. A link that is named stands for what it leads to; one that leads nowhere: exit 6",
        cli::row_70_sources_that_cannot_be_sent;
    71, "command line", "a source that grows, shrinks or is written to while it is sent, even if its time is set back; one whose name another file takes" =>
        "exit 5, `source-changed`, and nothing is published; the one that was opened is sent, whole. In a folder it is left out and said, as one that vanishes is: exit 10",
        cli::row_71_a_source_that_changes;
    72, "command line", "a destination that cannot be written; a full standard output" =>
        "exit 6 or 7 naming it; 7, after the work is done",
        cli::row_72_a_destination_that_takes_nothing;
    73, "command line", "a peer that nobody knows, the beginning of a name; a known name at whose address another machine answers" =>
        "exit 6 with the nearest name and what to type instead; a bare name is never looked up as a host. A known name without an address: exit 6. Exit 4, and whose certificate answered",
        cli::row_73_peers_that_nobody_knows;
    74, "command line", "Ctrl-C once or twice; a reader of standard output that goes away, also of `receive --out -`" =>
        "exit 130 and how to continue, which works; the work is done, and exit 0, in silence",
        cli::row_74_interrupts_and_closed_outputs;
    75, "command line", "`host:99999`, `[::1`, `http://host`, `user@host`, `0x7f.1`..." =>
        "exit 2, `bad address`",
        cli::row_75_addresses_that_are_none;
    76, "settings", "no TOML, an unknown key, a wrong type, a key twice" =>
        "exit 3, `file:line:column`, and the nearest key",
        config::row_76_a_file_that_is_no_settings;
    77, "settings", "a negative size, time or number, a port that cannot be; a port in use" =>
        "exit 3 with the place; exit 7 and how to choose another",
        config::row_77_values_that_cannot_be;
    78, "settings", "listening everywhere while pairing is always on" =>
        "does not apply: pairing listens on a port of its own, only while it shows a code, and ends after one machine, three wrong codes or five minutes";
    79, "settings", "an S3 endpoint without TLS, empty credentials" =>
        "does not apply: there is no store in S3";
    80, "settings", "a proxy in the environment" =>
        "never asked",
        config::row_80_proxies_of_the_environment;
    81, "keys", "a key that others can read; of another user, a link; a circle's certificate, list, record or address book that others can write" =>
        "exit 3, `chmod 600 PATH`; exit 3 naming it; exit 3, `chmod go-w PATH`",
        certs::row_81_keys_that_others_could_read_or_swap;
    82, "keys", "garbage, two keys, an encrypted, RSA or SEC 1 key, the key of another certificate, a broken certificate or revocation list; line ends of Windows" =>
        "exit 3 naming the file, what is wrong with it and what to do; taken",
        certs::row_82_files_that_are_no_keys;
    83, "keys", "a peer that shows an older bundle, another seal key without a signature, a bundle with an unknown algorithm, or one that was made for another peer" =>
        "exit 3, 4 or 5; the address book keeps what it had",
        certs::row_83_peers_that_lie_about_themselves;
    84, "keys", "our own address as a peer; a certificate for a name that has one; a known name with another key" =>
        "shown as `(this peer)`; exit 4; exit 4 until it is forgotten",
        certs::row_84_ourselves_and_names_that_are_taken;
    85, "store", "a store in use" =>
        "exit 9 with the process",
        store::row_85_a_store_in_use;
    86, "store", "the format of a later version, or none; no store, or another, where this home has one" =>
        "exit 3; exit 7, asks whether its disk is mounted; not touched, nothing is made (`check --new-store` begins anew)",
        store::row_86_a_store_of_another_format;
    87, "store", "a chunk that is cut, longer, empty, a folder, a FIFO, a link; a file of another name" =>
        "404, and `check` names it: exit 5, set aside, heals by being put again; left alone. No link is followed",
        store::row_87_chunks_that_are_something_else;
    88, "store", "empty folders that a backup left out, a lock file full of garbage" =>
        "made again; there is no index on disk that could be damaged",
        store::row_88_what_can_be_made_again;
    89, "store", "a damaged revocation list or address book, or an address book of a newer version" =>
        "exit 3, never written over; a peer that is serving keeps what it knew, and says so in its log",
        store::row_89_trust_that_is_damaged;
    90, "store", "a damaged journal of a receive, or data that is not what the journal says" =>
        "what does not have its digest is fetched again; the file is right",
        store::row_90_journals_that_are_damaged;
    91, "store", "what other, unfinished receives left" =>
        "ignored, and removed after 7 days without a change",
        store::row_91_what_other_receives_left;
    92, "store", "a file system that is read-only or full; one without locks, links, times, modes or a rename that replaces nothing; a system without openat2" =>
        "exit 7 with the reason, and nothing gets a final name; worked around, or left out and said, and named by `doctor`; exit 7",
        store::row_92_file_systems_that_cannot;
    93, "store", "a clock a day earlier than when the store was opened last" =>
        "a warning in the log; nothing is given up: an early clock only keeps things longer",
        store::row_93_a_clock_that_went_back;
    94, "store", "what was kept of a send that is cut, longer, empty, of a later version, or has another's name" =>
        "left out, and `doctor` names it; `check` and `grant` of that send: exit 6. One that is altered with a sum that fits gives nothing out",
        store::row_94_what_was_kept_of_a_send;
}

#[test]
fn every_row_is_there_and_is_tried_or_says_why_not() {
    let numbers: Vec<_> = ROWS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=94).collect::<Vec<_>>());
    for row in ROWS {
        let prefix = format!("row_{}_", row.number);
        let named = row.tests.iter().all(|test| test.starts_with(&prefix));
        assert!(named, "row {}: {:?}", row.number, row.tests);
        let applies = !row.answer.starts_with(NOT_HERE);
        assert_eq!(applies, !row.tests.is_empty(), "row {}", row.number);
    }
}

#[test]
fn the_page_has_this_table() {
    let page = include_str!("../../docs/bad-input.md");
    let is_row = |line: &&str| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit();
    let written: Vec<_> = page.lines().filter(is_row).collect();
    let rows = ROWS.iter().map(|row| {
        let (number, surface) = (row.number, row.surface);
        format!("| {number} | {surface} | {} | {} |", row.input, row.answer)
    });
    let rows: Vec<_> = rows.collect();
    let differ = rows.iter().zip(&written).find(|(row, line)| row != *line);
    assert_eq!(differ, None, "left is the table of the tests");
    assert_eq!(rows.len(), written.len());
}
