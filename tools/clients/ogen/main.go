// Command ogen shows that the client which ogen generates from openapi.json works:
// it sends the caller's /reel to another server. The test that runs it puts the
// generated package api beside it.
//
// It reads JETSTREAM_URL, JETSTREAM_USER, JETSTREAM_PASSWORD and
// JETSTREAM_DESTINATION (host:port of the receiver, whose user bob has the same
// password), and prints the transfer's id and bytes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ogen-go/ogen/ogenerrors"

	"jetstream/tools/clients/ogen/api"
)

func main() {
	if err := transfer(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// login logs in by user and password, and by nothing else that the document
// allows.
type login struct{}

func (login) Basic(context.Context, api.OperationName) (api.Basic, error) {
	return api.Basic{Username: os.Getenv("JETSTREAM_USER"), Password: os.Getenv("JETSTREAM_PASSWORD")}, nil
}

func (login) Bearer(context.Context, api.OperationName) (api.Bearer, error) {
	return api.Bearer{}, ogenerrors.ErrSkipClientSecurity
}

func (login) Cookie(context.Context, api.OperationName) (api.Cookie, error) {
	return api.Cookie{}, ogenerrors.ErrSkipClientSecurity
}

// as returns the answer of type T; any other, such as a failure, is an error.
func as[T any](answer any, err error) (T, error) {
	wanted, ok := answer.(T)
	if err == nil && !ok {
		err = fmt.Errorf("unexpected answer: %+v", answer)
	}
	return wanted, err
}

func transfer(ctx context.Context) error {
	c, err := api.NewClient(os.Getenv("JETSTREAM_URL"), login{})
	if err != nil {
		return err
	}
	destination, err := as[*api.SendCreateDestinationCreatedHeaders](c.SendCreateDestination(ctx,
		&api.SendCreateDestinationReq{DestinationAddress: os.Getenv("JETSTREAM_DESTINATION")}, api.SendCreateDestinationParams{}))
	if err != nil {
		return err
	}
	manifest, err := as[*api.SendCreateManifestCreatedHeaders](c.SendCreateManifest(ctx, &api.SendCreateManifestReq{
		FileMappings: api.NewOptSendCreateManifestReqFileMappings(api.SendCreateManifestReqFileMappings{"/reel": "/reel"}),
	}, api.SendCreateManifestParams{}))
	if err != nil {
		return err
	}
	id := manifest.Response.Result.ManifestId
	built, err := as[*api.SendWaitForManifestOKHeaders](c.SendWaitForManifest(ctx, api.SendWaitForManifestParams{ManifestId: id}))
	if err != nil {
		return err
	}
	if built.Response.Result.Processing {
		return errors.New("the manifest is not built yet")
	}
	begun, err := as[*api.SendCreateTransferCreatedHeaders](c.SendCreateTransfer(ctx, &api.SendCreateTransferReq{
		ManifestId: id, DestinationId: api.NewOptString(destination.Response.Result.DestinationId), Username: "bob",
		Password: os.Getenv("JETSTREAM_PASSWORD"), DestinationPath: api.NewOptString("/from-ogen"),
	}, api.SendCreateTransferParams{}))
	if err != nil {
		return err
	}
	done, err := as[*api.SendWaitForTransferOKHeaders](c.SendWaitForTransfer(ctx, api.SendWaitForTransferParams{TransferId: begun.Response.Result.TransferId}))
	if err != nil {
		return err
	}
	if result := done.Response.Result; result.Status != api.TransferStatusComplete {
		return fmt.Errorf("the transfer is %s: %s", result.Status, result.ErrorMessage)
	}

	// A failure is as typed as a success.
	if _, err := as[*api.NotFoundHeaders](c.SendGetTransfer(ctx, api.SendGetTransferParams{TransferId: "00000000000000000000000000000000"})); err != nil {
		return err
	}
	fmt.Println(done.Response.Result.TransferId, done.Response.Result.BytesSent)
	return nil
}
