package session

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var (
	seeds = flag.Int("seeds", 2000, "how many seeds the simulations play")
	seed  = flag.Uint64("seed", 0, "the only seed to play")
)

// play runs sim for every seed and stops at the first that fails.
func play(t *testing.T, sim func(seed uint64, r *rand.Rand) error) {
	if *seed != 0 {
		if err := sim(*seed, rand.New(rand.NewPCG(*seed, 1))); err != nil {
			t.Fatal(err)
		}
		return
	}
	for i := uint64(1); i <= uint64(*seeds); i++ {
		if err := sim(i, rand.New(rand.NewPCG(i, 1))); err != nil {
			t.Fatalf("seed %d: %v", i, err)
		}
	}
}

func randomConfig(r *rand.Rand) Config {
	c := Config{AckWindow: 300, MaxDatagram: 100 + r.IntN(1400)}
	if r.IntN(2) == 0 {
		c.AckWindow = 2 + r.IntN(20)
	}
	if r.IntN(3) == 0 {
		c.Window = 4 + r.IntN(60)
	}
	return c
}

func TestSimulation(t *testing.T) {
	play(t, func(_ uint64, r *rand.Rand) error {
		a, b := &node{cfg: randomConfig(r)}, &node{cfg: randomConfig(r)}
		return newSimulation(r, newProfile(r), [2]endpoint{a, b}).run()
	})
}
