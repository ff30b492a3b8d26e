package triggers

import (
	"encoding/json"

	"jetstream/internal/api"
)

// LaunchParams are the parameters of the event launch.
type LaunchParams struct {
	Port string `json:"port" doc:"Control port of the server" sample:"8886"`
}

// DestinationParams are the arguments of the destination events.
type DestinationParams struct {
	Destination string `json:"destination" doc:"Address and port of the destination, as ip:port" sample:"192.0.2.10:8887"`
	Sender      string `json:"sender" doc:"Address and port of this server's side, as ip:port" sample:"192.0.2.20:8887"`
}

// TransferParams are the arguments of the transfer events.
type TransferParams struct {
	TransferID string `json:"transfer_id" doc:"Id of the transfer, the same at both ends" sample:"00000000000070008000000000000001"`
	Username   string `json:"username" doc:"User that authorized the transfer at the receiver" sample:"bob"`
}

// FailureParams are the arguments of the events of transfers that failed.
type FailureParams struct {
	TransferID string `json:"transfer_id" doc:"Id of the transfer, the same at both ends" sample:"00000000000070008000000000000001"`
	Username   string `json:"username" doc:"User that authorized the transfer at the receiver" sample:"bob"`
	Message    string `json:"message" doc:"Why it failed, or that it was cancelled" sample:"the disk is full"`
}

// CommandParams are the arguments of on.<command>.
type CommandParams struct {
	Command json.RawMessage `json:"command" doc:"The command as submitted: request and parameters, secrets masked" sample:"{\"request\":\"\",\"parameters\":{}}"`
	Status  string          `json:"status" doc:"success or the error code" sample:"success"`
	Message string          `json:"message" doc:"The message of the reply" sample:"A sample, made by emitTrigger."`
	Result  json.RawMessage `json:"result" doc:"The result that the caller got, secrets masked" sample:"{}"`
}

// commandPrefix is the prefix of the names of events of API commands.
const commandPrefix = "on."

// Command declares the event of the API command of that full name. It reads
// struct tags: the result should be kept.
func Command(name string) Kind[CommandParams] {
	return Define[CommandParams](commandPrefix+name, "The API command "+name+" was processed.")
}

// CommandEvent is a faster kind.Event for events of commands. Command and
// Result must have been encoded by api.Marshal.
func CommandEvent(kind Kind[CommandParams], p CommandParams, cause Cause) Event {
	b := make([]byte, 0, len(p.Command)+len(p.Status)+len(p.Message)+len(p.Result)+64)
	b = append(append(b, `{"command":`...), p.Command...)
	b = api.AppendString(append(b, `,"status":`...), p.Status)
	b = api.AppendString(append(b, `,"message":`...), p.Message)
	b = append(append(b, `,"result":`...), p.Result...)
	return Event{Definition: kind.Definition, Parameters: append(b, '}'), Cause: cause}
}

// All events that scripts can be named after, except on.<command>: the function
// Command makes those.
var (
	Launch = Define[LaunchParams]("launch",
		"The server has started and listens on its control port.")
	SendDestinationCreated = Define[DestinationParams]("send.destinationCreated",
		"createDestination made a new destination.")
	SendDestinationDeleted = Define[DestinationParams]("send.destinationDeleted",
		"deleteDestination succeeded.")
	SendTransferStarted = Define[TransferParams]("send.transferStarted",
		"The receiver has let the transfer in, and sending begins.")
	SendTransferComplete = Define[TransferParams]("send.transferComplete",
		"The receiver has every file of a transfer on disk under its final name.")
	SendTransferFailed = Define[FailureParams]("send.transferFailed",
		"A transfer failed or was cancelled, as its sender sees it.")
	RecvTransferStarted = Define[TransferParams]("recv.transferStarted",
		"A user has authorized a transfer, and receiving begins.")
	RecvTransferComplete = withFileList(Define[TransferParams]("recv.transferComplete",
		"Every file of a transfer is verified, on disk, under its final name."))
	RecvTransferFailed = Define[FailureParams]("recv.transferFailed",
		"A transfer failed or was cancelled, as its receiver sees it.")
)

func withFileList(k Kind[TransferParams]) Kind[TransferParams] {
	k.FileList = true
	return k
}

// Definitions lists the events, except those of commands, in the order of the
// manual.
func Definitions() []Definition {
	return []Definition{
		Launch.Definition,
		SendDestinationCreated.Definition,
		SendDestinationDeleted.Definition,
		SendTransferStarted.Definition,
		SendTransferComplete.Definition,
		SendTransferFailed.Definition,
		RecvTransferStarted.Definition,
		RecvTransferComplete.Definition,
		RecvTransferFailed.Definition,
	}
}
