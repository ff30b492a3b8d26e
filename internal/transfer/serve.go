package transfer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"jetstream/internal/api"
)

// The first and the longest wait after an error of the database.
const (
	retryFirst = time.Second
	retryMost  = 10 * time.Second
)

// purgeBatch is how many entries of unused file lists one transaction removes.
const purgeBatch = 5000

// Serve walks the sources of pending manifests and removes the sources of transfers with
// DeleteSource until ctx ends; what was interrupted before goes on. It returns nil once all walks have
// stopped.
func (e *Engine) Serve(ctx context.Context) error {
	var walkers sync.WaitGroup
	defer walkers.Wait()
	walkers.Go(func() { e.serveDeletions(ctx) })
	pause := retryFirst
	for {
		err := e.startWalks(ctx, &walkers)
		more, purgeErr := e.purge(ctx)
		err = errors.Join(err, purgeErr)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			e.o.Log.Error("manifests cannot be worked on; trying again", "error", err)
			sleep(ctx, pause)
			pause = min(2*pause, retryMost)
			continue
		case !more:
			select {
			case <-e.walkWake:
			case <-ctx.Done():
			}
		}
		pause = retryFirst
	}
}

// startWalks starts the walks of the oldest pending manifests, as many as there
// are free walkers.
func (e *Engine) startWalks(ctx context.Context, walkers *sync.WaitGroup) error {
	e.mu.Lock()
	running := slices.Collect(maps.Keys(e.walks))
	e.mu.Unlock()
	free := e.o.Walkers - len(running)
	if free <= 0 {
		return nil
	}
	pending, err := e.o.Store.PendingManifests(ctx, running, free)
	if err != nil {
		return err
	}
	for _, m := range pending {
		walkCtx, stop := context.WithCancel(ctx)
		e.mu.Lock()
		e.walks[m.ManifestID] = stop
		e.mu.Unlock()
		walkers.Go(func() {
			defer func() {
				stop()
				e.mu.Lock()
				delete(e.walks, m.ManifestID)
				e.mu.Unlock()
				signal(e.walkWake)
			}()
			e.runWalk(walkCtx, m)
		})
	}
	return nil
}

// stopWalk stops the walk of a manifest that was deleted.
func (e *Engine) stopWalk(manifestID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if stop := e.walks[manifestID]; stop != nil {
		stop()
	}
}

// runWalk walks one manifest and saves the result, which it retries while the
// database fails, as on a full disk. If ctx ends or the manifest is deleted it
// saves nothing.
func (e *Engine) runWalk(ctx context.Context, m Manifest) {
	sum, err := e.walk(ctx, m)
	for pause := retryFirst; ctx.Err() == nil; pause = min(2*pause, retryMost) {
		endErr := e.endWalk(ctx, m.ManifestID, sum, err)
		if endErr == nil || api.ErrorOf(endErr).Code == api.CodeNotFound {
			return
		}
		e.o.Log.Error("the end of a manifest's walk was not saved", "manifestId", m.ManifestID, "error", endErr)
		sleep(ctx, pause)
	}
}

// endWalk moves a manifest to complete or, if walkErr is not nil, to error.
func (e *Engine) endWalk(ctx context.Context, manifestID string, sum totals, walkErr error) error {
	return e.o.Store.Update(ctx, func(tx Tx) error {
		m, err := tx.Manifest(manifestID)
		if err != nil {
			return err
		}
		if walkErr == nil {
			m.TotalFiles, m.TotalSize, m.SkippedEntries, m.DataSize = &sum.files, &sum.size, &sum.skipped, sum.data
			m.ReadErrors = sum.unread
			return e.move(tx, manifestObject{m}, StatusComplete, cause{})
		}
		failure := api.ErrorOf(walkErr)
		if failure.Code == api.CodeInternal {
			e.o.Log.Error("a manifest failed", "manifestId", manifestID, "error", walkErr)
		}
		m.ErrorMessage = &failure.Message
		if err := tx.ResetManifestFiles(manifestID); err != nil {
			return err
		}
		return e.move(tx, manifestObject{m}, StatusError, cause{})
	})
}

// purge removes one batch of the unused file lists; more reports whether there
// are others. Between batches other transactions can run.
func (e *Engine) purge(ctx context.Context) (more bool, err error) {
	err = e.o.Store.Update(ctx, func(tx Tx) (err error) {
		more, err = tx.PurgeManifestFiles(purgeBatch)
		return err
	})
	return more, err
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
