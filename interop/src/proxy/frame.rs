//! Where one message of the Redis protocol (RESP2 or RESP3) ends.

/// The length of the first whole message in `bytes`; `None` if there is none yet.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let count = || std::str::from_utf8(&bytes[1..line - 2]).ok().and_then(|text| text.parse::<i64>().ok());
    match bytes[0] {
        // Text of a known length, and its own line end. -1 is RESP2's null, without a body.
        b'$' | b'=' | b'!' => match usize::try_from(count()?) {
            Ok(body) => (bytes.len() >= line + body + 2).then_some(line + body + 2),
            Err(_) => Some(line),
        },
        b'*' | b'~' | b'>' => items(bytes, line, usize::try_from(count()?).unwrap_or(0)),
        b'%' => items(bytes, line, 2 * usize::try_from(count()?).ok()?),
        // An attribute comes before the message that it is about.
        b'|' => items(bytes, line, 2 * usize::try_from(count()?).ok()? + 1),
        _ => Some(line),
    }
}

fn items(bytes: &[u8], mut at: usize, count: usize) -> Option<usize> {
    for _ in 0..count {
        at += length(bytes.get(at..)?)?;
    }
    Some(at)
}

/// Whether it is a push message, which answers no request.
pub(super) fn is_push(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_are_measured_and_parts_are_not() {
        let messages: [&[u8]; 9] = [
            b"+OK\r\n",
            b":12\r\n",
            b"$5\r\nab\r\nc\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
            b"%1\r\n+k\r\n*0\r\n",
            b">2\r\n+a\r\n+b\r\n",
            b"|1\r\n+k\r\n+v\r\n:1\r\n",
        ];
        for message in messages {
            let followed = [message, b"+next\r\n"].concat();
            assert_eq!(length(&followed), Some(message.len()), "{}", message.escape_ascii());
            for cut in 0..message.len() {
                assert_eq!(length(&message[..cut]), None, "{} cut at {cut}", message.escape_ascii());
            }
        }
    }

    #[test]
    fn only_pushes_answer_nothing() {
        assert!(is_push(b">1\r\n+x\r\n"));
        assert!(!is_push(b"*1\r\n+x\r\n"));
    }
}
