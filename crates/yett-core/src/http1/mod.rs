//! HTTP/1.1 on the wire, strict (RFC 9112): heads, framing, chunks, trailers. [owner: datapath]
