package main

// scenario is one lab and what happens there.
type scenario struct {
	name    string
	packets bool // packets pass through the first router: the lab has a client and a server
	asked   bool // runs only when named, because it takes minutes
	run     func(*trial) error
}

// fullPlan takes less than 15 minutes on two cores, quickPlan less than 3.
var (
	fullPlan = []scenario{
		{name: "steady2k", run: steady(2000)},
		{name: "steady10k", run: steady(10_000)},
		{name: "steady50k", run: steady(50_000)},
		{name: "udp", packets: true, run: udpPackets},
		{name: "tcp", packets: true, run: tcpPackets},
		{name: "latency", run: latency},
		{name: "ladder", run: ladder},
		{name: "burst", run: burst},
		{name: "loss", run: lossy(1, 5, 20)},
		{name: "10k", run: failover(10_000)},
		{name: "100k", run: failover(100_000)},
		{name: "500k", run: failover(500_000)},
		{name: "1M", run: failover(1_000_000)},
		{name: "ipv6", run: memory6},
		{name: "monitor", run: monitored},
		{name: "4M", asked: true, run: failover(4_000_000)},
	}
	quickPlan = []scenario{
		{name: "steady10k", run: steady(10_000)},
		{name: "tcp", packets: true, run: tcpPackets},
		{name: "latency", run: latency},
		{name: "burst", run: burst},
		{name: "loss", run: lossy(5)},
		{name: "100k", run: failover(100_000)},
		{name: "ipv6", run: memory6},
	}
)
