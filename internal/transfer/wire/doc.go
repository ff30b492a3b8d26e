// Package wire is the protocol between two servers: who they are (Identity),
// the TLS 1.3 connection pinned to public keys, the versioned handshake
// (Hello), and the frames that carry control messages and file data.
//
// After TLS both ends send a Hello and settle on the highest version that both
// speak. Then the dialling end sends files:
//
//	Login   -> Ticket            once: user and password for a ticket
//	Open    -> Resume            which transfer, with the ticket; where to go on
//	Entries -> [Skip]            a page of the file list; Skip only when asked for
//	data    -> Progress          chunks of files, each with its xxh3
//	End     -> Outcome           everything was sent; how the transfer ended
//	Cancel  -> Outcome           in place of Open or later: the sender gave up
//
// Either end may answer Failure at any time and close. Frames say which file
// and offset they belong to, so that a transfer may one day have more than one
// connection. JSON fields that are not known are ignored, frames are not.
package wire
