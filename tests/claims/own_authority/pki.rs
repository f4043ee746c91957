//! An authority made by hand with openssl: a root of RSA, an intermediate of ECDSA, and what they sign.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a certificate says.
pub(super) struct Leaf<'a> {
    pub(super) name: &'a str,
    /// The alternative names; none for a common name alone.
    pub(super) san: Option<String>,
    /// The extended key usage; none if it is empty.
    pub(super) usage: &'a str,
    /// The arguments of `openssl genpkey`.
    pub(super) key: &'a str,
    /// From when until when it counts, as openssl has it.
    pub(super) dates: Option<(&'a str, &'a str)>,
}

impl<'a> Leaf<'a> {
    /// One of a peer.
    pub(super) fn of(name: &'a str) -> Self {
        Self {
            name,
            san: Some(format!("DNS:{name}")),
            usage: "serverAuth,clientAuth",
            key: "EC -pkeyopt ec_paramgen_curve:P-256",
            dates: None,
        }
    }
}

/// A root and an intermediate, each with its files in a folder of its own.
pub(super) struct Pki {
    folder: PathBuf,
    bundle: String,
    count: Cell<u32>,
}

const CONFIG: &str = "[ca]\ndefault_ca=this\n[this]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\ncrlnumber=number\n\
     certificate=ca.pem\nprivate_key=key.pem\ndefault_md=sha256\npolicy=any\ndefault_days=365\ndefault_crl_days=30\n\
     copy_extensions=copyall\nunique_subject=no\nx509_extensions=leaf\ncrl_extensions=crl\n[any]\ncommonName=supplied\n\
     [leaf]\nauthorityKeyIdentifier=keyid\n[crl]\nauthorityKeyIdentifier=keyid\n[sub]\nbasicConstraints=critical,CA:TRUE\n\
     keyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";

impl Pki {
    pub(super) fn new(folder: &Path) -> Self {
        Self::called(folder, "Example")
    }

    /// One whose root and intermediate are called so.
    pub(super) fn called(folder: &Path, name: &str) -> Self {
        let pki = Self {
            folder: folder.to_owned(),
            bundle: folder.join("bundle.pem").to_str().unwrap().to_owned(),
            count: Cell::default(),
        };
        for authority in ["root", "issuing"] {
            let folder = pki.folder.join(authority);
            fs::create_dir_all(&folder).unwrap();
            for (file, text) in [
                ("index.txt", ""),
                ("serial", "80\n"),
                ("number", "01\n"),
                ("ca.cnf", CONFIG),
            ] {
                fs::write(folder.join(file), text).unwrap();
            }
        }
        pki.openssl(
            "root",
            &format!(
                "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out ca.pem -days 3650 -subj /CN={name}-Root \
                 -addext keyUsage=critical,keyCertSign,cRLSign"
            ),
        );
        pki.openssl(
            "issuing",
            &format!(
                "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout key.pem -out ca.csr -subj /CN={name}-Issuing"
            ),
        );
        pki.openssl(
            "root",
            "ca -batch -config ca.cnf -extensions sub -startdate 20190101000000Z -enddate 20391231000000Z -in ../issuing/ca.csr -out ../issuing/ca.pem -notext",
        );
        // What signs first comes last, with text around it, as files of authorities have it.
        let read = |authority: &str| fs::read_to_string(pki.file(authority, "ca.pem")).unwrap();
        let bundle = format!(
            "the root:\n{}\nand its intermediate:\n{}",
            read("root"),
            read("issuing")
        );
        fs::write(&pki.bundle, bundle).unwrap();
        pki
    }

    /// The certificates of both.
    pub(super) fn bundle(&self) -> &str {
        &self.bundle
    }

    pub(super) fn file(&self, authority: &str, name: &str) -> PathBuf {
        self.folder.join(authority).join(name)
    }

    /// Runs openssl in the folder of an authority.
    pub(super) fn openssl(&self, authority: &str, words: &str) {
        let mut openssl = Command::new("openssl");
        openssl
            .args(words.split_whitespace())
            .current_dir(self.folder.join(authority));
        let ran = openssl.output().unwrap();
        assert!(
            ran.status.success(),
            "{words}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }

    /// A new key and its certificate by the intermediate: the paths of certificate and key, with a space between.
    pub(super) fn leaf(&self, leaf: &Leaf<'_>) -> String {
        let number = self.next();
        self.openssl(
            "issuing",
            &format!("genpkey -algorithm {} -out {number}-key.pem", leaf.key),
        );
        self.certify(leaf, &number)
    }

    /// Another certificate for the key of `of`.
    pub(super) fn again(&self, leaf: &Leaf<'_>, of: &str) -> String {
        let number = self.next();
        let (_, key) = of.split_once(' ').unwrap();
        fs::copy(key, self.file("issuing", &format!("{number}-key.pem"))).unwrap();
        self.certify(leaf, &number)
    }

    fn certify(&self, leaf: &Leaf<'_>, number: &str) -> String {
        let mut request = format!(
            "req -new -key {number}-key.pem -subj /CN={} -out {number}.csr",
            leaf.name
        );
        if let Some(san) = &leaf.san {
            request += &format!(" -addext subjectAltName={san}");
        }
        if !leaf.usage.is_empty() {
            request += &format!(" -addext extendedKeyUsage={}", leaf.usage);
        }
        self.openssl("issuing", &request);
        let dates = leaf.dates.map_or_else(String::new, |(from, until)| {
            format!(" -startdate {from} -enddate {until}")
        });
        self.openssl(
            "issuing",
            &format!("ca -batch -config ca.cnf -in {number}.csr -out {number}.pem -notext{dates}"),
        );
        let path = |name: String| self.file("issuing", &name).to_str().unwrap().to_owned();
        format!(
            "{} {}",
            path(format!("{number}.pem")),
            path(format!("{number}-key.pem"))
        )
    }

    fn next(&self) -> String {
        self.count.set(self.count.get() + 1);
        self.count.get().to_string()
    }

    /// Revokes the certificate of a leaf.
    pub(super) fn revoke(&self, leaf: &str) {
        let (cert, _) = leaf.split_once(' ').unwrap();
        self.openssl("issuing", &format!("ca -config ca.cnf -revoke {cert}"));
    }

    /// The list of an authority, as PEM. `more` are further arguments of `openssl ca -gencrl`.
    pub(super) fn list(&self, authority: &str, more: &str) -> String {
        self.openssl(
            authority,
            &format!("ca -config ca.cnf -gencrl -out crl.pem {more}"),
        );
        fs::read_to_string(self.file(authority, "crl.pem")).unwrap()
    }

    /// The lists of both.
    pub(super) fn lists(&self) -> String {
        self.list("root", "") + &self.list("issuing", "")
    }
}
