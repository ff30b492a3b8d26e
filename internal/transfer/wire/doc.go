// Package wire implements the protocol between two servers: their keys
// (Identity), TLS 1.3 connections pinned to public keys, the versioned
// handshake (Hello), and the frames with control messages and file data.
//
// After TLS both ends send a Hello and use the highest version that both speak.
// The first connection of a transfer carries its control messages. The dialling
// end sends files:
//
//	Login   -> Ticket            once: user and password are traded for a ticket
//	Open    -> Resume            which transfer, with the ticket; where to continue
//	Entries -> [Skip]            a page of the file list; Skip if Resume announced it
//	End     -> Outcome           the list is complete; how the transfer has ended
//	Cancel  -> Outcome           instead of Open or later: the sender has given up
//	        -> Progress          now and then: what has been received
//
// The chunks of the files go over further connections, the lanes, in any order:
//
//	Join                         which transfer, with the secret in Resume
//	data    -> Ack               chunks, each with its xxh3; how many were handled
//
// A lane may send a chunk before its entry is announced; it is read when the
// entry is. Chunks that a broken lane has sent and that were not acknowledged go
// over another lane. Either end may send Failure at any time and close. What the
// sender closes or leaves silent, it dials anew. Frames of data contain the index
// of the file and the offset. Unknown JSON fields are ignored; unknown types of
// frames are an error.
package wire
