// Package wire implements the protocol between two servers, version 5: their
// keys (Identity), TLS 1.3 connections pinned to public keys, the versioned
// handshake (Hello), and the frames with messages and file data. This text and
// the comments of the messages are meant to suffice for another implementation.
//
// # Connections
//
// Every connection is TLS 1.3 over TCP to the receive port of the other server.
// Both ends show a self-signed certificate with an Ed25519 key, which is the
// server's identity; names and dates in it do not count. The dialling end
// compares the other key with the one that it has pinned. The accepting end
// learns who sends by the key, and may take only keys that it knows. Session
// resumption is not used. TLS and Hello together must not take longer than
// HandshakeTimeout.
//
// # Frames
//
// After TLS both ends write frames: a header of 32 bytes, big-endian, and a
// payload.
//
//	byte  0      type
//	byte  1      1 for data that are compressed, else 0
//	bytes 2-3    0x4a53 ("JS")
//	bytes 4-7    length of the payload
//	bytes 8-9    version of the file for data, else 0
//	bytes 10-15  index: of an entry for data, of chunks for Ack, else 0
//	bytes 16-23  offset in the file for data, else 0
//	bytes 24-31  xxh3-64 of the payload, of compressed data before compression
//
// The payload of data is at most MaxData bytes of one file and not empty; Ping
// and Ack have none; that of all others is a JSON object of at most MaxControl
// bytes (see the message types). Unknown JSON fields are ignored. An unknown
// type, a longer payload, a negative number or a wrong checksum of a message
// closes the connection.
//
// Each frame of data is compressed for itself or not, as the sender likes. The
// payload then is one zstd frame (RFC 8878) without dictionary, which states the
// length of its content, 1 to MaxData bytes, and whose window is not larger than
// MaxData. That length and the offset say which part of the file it is. TLS protects
// what is on the wire; the checksum, that of the content, covers compressing and
// decompressing too. A frame that states no such length or window breaks the
// protocol; one that cannot be decompressed, or with another length than it states,
// is treated like one with a wrong checksum.
//
// The first frame of both ends is Hello. Neither waits for that of the other: where the
// dialling end knows the key of the other, its Login and Open follow at once, in the
// version of its Hello. The version used is the highest that
// both speak; without one each end closes. After PingInterval without other
// frames an end sends Ping, which is passed over. A connection of which nothing
// is read or written for IdleTimeout is closed, and so is one whose next frame is not
// complete in FrameTimeout and FrameTimePerKiB of its payload. Either end may send Failure,
// with the reason, and close.
//
// # Messages
//
// The first connection of a transfer carries its messages. The dialling end
// sends files:
//
//	Login   -> Ticket            once: user and password are traded for a ticket
//	Open    -> Resume            which transfer, with the ticket; where to continue
//	Entries -> [Skip]            a page of the file list; Skip if Resume announced it
//	Digests <- [Compare]         with Open.Checksum, before the Skip of a page
//	FileGone                     a file of the list cannot be read (onError continue)
//	FileChanged -> FileExpected  a file is no longer what was announced and is sent anew
//	End     -> Outcome           the list is complete; how the transfer has ended
//	Cancel  -> Outcome           instead of Open or later: the sender has given up
//	DryRun  -> Resume            instead of Login and Open: what would be sent?
//	        -> Refused           in a dry run: an entry that would be refused
//	        -> Removal           in a dry run with Open.Mirror: what would be removed
//	        -> Progress          now and then: what has been received
//
// With Open.Checksum the receiver decides by digests about the files that it has in
// the same size. It answers a page with Compare for these, and with Skip when it has
// its own digests and the sender's. Meanwhile both ends take and send other
// messages, so that further pages are on their way. Skips come in the order of the
// pages. Neither end reads other files for it.
//
// The list has all entries of the transfer in a fixed order; the position of an
// entry is its index. Resume names the first entry that is wanted, and the offset
// within it; the list continues there, with that entry. If Offset is not 0, the sender
// compares the file with Size and ModTime in Resume: where they are not the same it
// announces what the file is now, and begins it at 0. The sender announces at
// most 8,192 entries whose data have not been sent. End may come before the
// data. The receiver ends the transfer when the list is complete and all data of
// it have arrived; then it gives the files their names, which may take a while,
// and sends Outcome. A newer Open of a transfer replaces the session of an older
// one. After Outcome the connection is closed. If it breaks before, the sender
// opens the transfer again, with the same ticket.
//
// A dry run has no ticket, no lanes and no data. The receiver answers each page as in
// a transfer with onError continue, always with Skip, and End with Outcome. It writes
// nothing. Where no entry at all could be received it sends Failure.
//
// # Mirrors
//
// With Open.Mirror the list marks the directories that sources became (Entry.Root).
// When all files have their names, and before it sends Outcome, the receiver removes
// what it has in these directories and the list has not. It leaves what the filters
// leave out, what has changed since the list was begun, what another transfer places
// there, part files, and what is behind links. So that clocks need not agree, the
// sender tells the age of the list, as it is once the TLS handshake is done. The receiver
// counts it back from when it has accepted the connection. It removes nothing, and
// the transfer fails, if Mirror.Fault says so, an entry has failed, a marked directory
// has no files in the list, or more would go than Mirror.MaxDelete.
//
// # Files that change
//
// The list is made before the transfer and does not change; a file may. The sender
// makes sure that all chunks of a version are of one state of the file: it compares size,
// modification time and identity with what it has announced, after it has read a chunk
// and before it sends it. When they differ it sends FileChanged with those of the file as
// it is now, and after FileExpected all chunks of the file, with the new version in the
// header. Chunks of a former version that are on their way are passed over. A file of
// which the receiver has a whole version is not sent again. The totals of the transfer
// are those of Open and the sum of what the files have grown by (see Entry, Resume and
// Outcome); a file that is left out by FileGone counts as it was last announced.
//
// # Lanes
//
// The chunks of the files go over further connections, the lanes. Their first
// message is
//
//	Join                         which transfer, with the secret in Resume
//
// and then the sender writes data, the receiver Acks. Resume says how many lanes
// there may be at a time, MaxLanes at most; one more is refused unless another has
// been silent. A lane ends with the session.
//
// Chunks may come in any order, be cut in any way, and go over any lane. One
// whose entry is not announced yet is read when it is. An entry is complete when
// all its bytes have arrived; directories and empty files have none. The Index of
// an Ack is how many frames of data of this lane have been written to files. When a lane
// breaks, the sender sends over others what was not acknowledged, so that
// chunks may come twice: they are passed over, up to a limit. A chunk with a
// wrong checksum closes its lane and nothing else.
package wire
