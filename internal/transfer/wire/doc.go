// Package wire implements the protocol between two servers: their keys
// (Identity), TLS 1.3 connections pinned to public keys, the versioned
// handshake (Hello), and the frames with control messages and file data.
//
// After TLS both ends send a Hello and use the highest version that both speak.
// Then the dialling end sends files:
//
//	Login   -> Ticket            once: user and password are traded for a ticket
//	Open    -> Resume            which transfer, with the ticket; where to continue
//	Entries -> [Skip]            a page of the file list; Skip if Resume announced it
//	data    -> Progress          chunks of files, each with its xxh3
//	End     -> Outcome           everything is sent; how the transfer has ended
//	Cancel  -> Outcome           instead of Open or later: the sender has given up
//
// Either end may send Failure at any time and close. Frames of data contain the
// index of the file and the offset. Unknown JSON fields are ignored; unknown
// types of frames are an error.
package wire
