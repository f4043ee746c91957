//! The code that the other machine shows: from the flags, from the person, from a pipe.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use zeroize::Zeroizing;

use super::{NOTHING_KEPT, until_interrupted};
use crate::{
    cli::{
        args::Pair,
        report::{ExitCode, Failure},
        standard, terminal,
    },
    pair::{Code, CodeError},
};

/// Bytes of a code file that are looked at.
const MAX_CODE: u64 = 256;

/// Who gives the code.
#[derive(Clone, Copy)]
pub(in crate::cli) enum Source<'a> {
    /// The person at the terminal, as often as it is wrong and may be tried again.
    Person,
    /// A file, or standard input.
    File(&'a Path),
}

impl<'a> Source<'a> {
    /// As the flags say, else the terminal, else standard input.
    pub(super) fn of(args: &'a Pair) -> Self {
        match args.code_file.as_deref() {
            Some(path) => Self::File(path),
            None if terminal::is_there() => Self::Person,
            None => Self::File(Path::new("-")),
        }
    }

    pub(super) async fn read(self) -> Result<Code, Failure> {
        let stdin = Path::new("-");
        let text = match self {
            Self::Person => return ask().await,
            Self::File(path) if path != stdin => {
                let file = File::open(path).map_err(|e| Failure::io(path, &e))?;
                first_line(file).map_err(|e| Failure::io(path, &e))?
            }
            Self::File(_) => {
                let input = standard::input("give it the code, or a file: --code-file FILE")?;
                let reading = async {
                    let read = tokio::task::spawn_blocking(|| first_line(input)).await;
                    let read = read.map_err(|e| Failure::new(ExitCode::Storage, e))?;
                    read.map_err(|e| Failure::io(stdin, &e))
                };
                until_interrupted(reading, NOTHING_KEPT).await?
            }
        };
        Ok(text.parse::<Code>()?)
    }
}

/// Asks until it can be a code.
async fn ask() -> Result<Code, Failure> {
    let ask = || loop {
        match terminal::read_line("Code")?.parse::<Code>() {
            Ok(code) => return Ok(code),
            Err(error) => terminal::say(&say_code_error(&error)),
        }
    };
    terminal::asked("code", NOTHING_KEPT, ask).await
}

fn first_line(input: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(MAX_CODE as usize));
    for byte in io::BufReader::new(input.take(MAX_CODE)).bytes() {
        match byte? {
            b'\n' => break,
            byte if byte.is_ascii() => line.push(char::from(byte)),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(line)
}

fn say_code_error(error: &CodeError) -> String {
    match error {
        CodeError::Word {
            nearest: Some(nearest),
            ..
        } => format!("{error}; {nearest}, perhaps?"),
        _ => error.to_string(),
    }
}

impl From<CodeError> for Failure {
    fn from(error: CodeError) -> Self {
        Self::usage(say_code_error(&error)).hint("nothing was tried; type it as it is shown")
    }
}
