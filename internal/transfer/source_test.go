package transfer

import (
	"math"
	"testing"
	"time"
)

func TestTimesOfFilesKeepTheirSign(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want int64
	}{
		{time.Unix(0, 0), 0},
		{time.Unix(-1, 5), -1e9 + 5},
		{time.Date(2261, 1, 1, 0, 0, 0, 7, time.UTC), time.Date(2261, 1, 1, 0, 0, 0, 7, time.UTC).UnixNano()},
		{time.Date(2446, 5, 10, 0, 0, 0, 0, time.UTC), math.MaxInt64},
		{time.Unix(math.MaxInt64/2, 0), math.MaxInt64},
		{time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC), math.MinInt64},
	} {
		if got := nanoseconds(c.at); got != c.want {
			t.Errorf("%v is %d, want %d", c.at, got, c.want)
		}
	}
}
