// Command go shows that the client which oapi-codegen generates from
// openapi.json works: it sends the caller's /reel to another server. The test
// that runs it puts the generated client.gen.go beside it.
//
// It reads JETSTREAM_URL, JETSTREAM_USER, JETSTREAM_PASSWORD and
// JETSTREAM_DESTINATION (host:port of the receiver, whose user bob has the same
// password), and prints the transfer's id and bytes.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	_ "github.com/oapi-codegen/runtime" // client.gen.go needs it
)

func main() {
	if err := transfer(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func transfer(ctx context.Context) error {
	password := os.Getenv("JETSTREAM_PASSWORD")
	c, err := NewClientWithResponses(os.Getenv("JETSTREAM_URL"), WithRequestEditorFn(
		func(_ context.Context, req *http.Request) error {
			req.SetBasicAuth(os.Getenv("JETSTREAM_USER"), password)
			return nil
		}))
	if err != nil {
		return err
	}
	d, err := c.SendCreateDestinationWithResponse(ctx, nil, SendCreateDestinationJSONRequestBody{
		DestinationAddress: os.Getenv("JETSTREAM_DESTINATION"),
	})
	if err != nil || d.JSON201 == nil {
		return fmt.Errorf("destination: %w %s", err, d.Body)
	}
	m, err := c.SendCreateManifestWithResponse(ctx, nil, SendCreateManifestJSONRequestBody{
		FileMappings: &map[string]string{"/reel": "/reel"},
	})
	if err != nil || m.JSON201 == nil {
		return fmt.Errorf("manifest: %w %s", err, m.Body)
	}
	built, err := c.SendWaitForManifestWithResponse(ctx, m.JSON201.Result.ManifestId, nil)
	if err != nil || built.JSON200 == nil || built.JSON200.Result.Processing {
		return fmt.Errorf("manifest: %w %s", err, built.Body)
	}
	path := "/from-go"
	x, err := c.SendCreateTransferWithResponse(ctx, nil, SendCreateTransferJSONRequestBody{
		ManifestId: m.JSON201.Result.ManifestId, DestinationId: &d.JSON201.Result.DestinationId,
		Username: "bob", Password: password, DestinationPath: &path,
	})
	if err != nil || x.JSON201 == nil {
		return fmt.Errorf("transfer: %w %s", err, x.Body)
	}
	done, err := c.SendWaitForTransferWithResponse(ctx, x.JSON201.Result.TransferId, nil)
	if err != nil || done.JSON200 == nil || done.JSON200.Result.Status != "complete" {
		return fmt.Errorf("transfer: %w %s", err, done.Body)
	}

	// A failure is as typed as a success.
	gone, err := c.SendGetTransferWithResponse(ctx, "00000000000000000000000000000000")
	if err != nil || gone.JSON404 == nil || gone.JSON404.Status != "notFound" {
		return fmt.Errorf("a transfer that is not there: %w %s", err, gone.Body)
	}
	fmt.Println(done.JSON200.Result.TransferId, done.JSON200.Result.BytesSent)
	return nil
}
