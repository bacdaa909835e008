package ctnetlink

// Message types of the subsystem NFNL_SUBSYS_CTNETLINK (enum cntl_msg_types).
const (
	subsysCtnetlink = 1

	msgCtNew         = 0
	msgCtGet         = 1
	msgCtDelete      = 2
	msgCtGetStatsCPU = 4
)

// enum ctattr_type.
const (
	ctaTupleOrig     = 1
	ctaTupleReply    = 2
	ctaStatus        = 3
	ctaProtoinfo     = 4
	ctaHelp          = 5
	ctaNatSrc        = 6
	ctaTimeout       = 7
	ctaMark          = 8
	ctaCountersOrig  = 9
	ctaCountersReply = 10
	ctaUse           = 11
	ctaID            = 12
	ctaNatDst        = 13
	ctaTupleMaster   = 14
	ctaSeqAdjOrig    = 15
	ctaSeqAdjReply   = 16
	ctaZone          = 18
	ctaTimestamp     = 20
	ctaLabels        = 22
	ctaSynproxy      = 24
)

// enum ctattr_tuple, ctattr_ip and ctattr_l4proto.
const (
	ctaTupleIP    = 1
	ctaTupleProto = 2
	ctaTupleZone  = 3

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum        = 1
	ctaProtoSrcPort    = 2
	ctaProtoDstPort    = 3
	ctaProtoICMPID     = 4
	ctaProtoICMPType   = 5
	ctaProtoICMPCode   = 6
	ctaProtoICMPv6ID   = 7
	ctaProtoICMPv6Type = 8
	ctaProtoICMPv6Code = 9
)

// enum ctattr_protoinfo and its three nested sets.
const (
	ctaProtoinfoTCP  = 1
	ctaProtoinfoDCCP = 2
	ctaProtoinfoSCTP = 3

	ctaProtoinfoTCPState       = 1
	ctaProtoinfoTCPWScaleOrig  = 2
	ctaProtoinfoTCPWScaleReply = 3
	ctaProtoinfoTCPFlagsOrig   = 4
	ctaProtoinfoTCPFlagsReply  = 5

	ctaProtoinfoDCCPState = 1
	ctaProtoinfoDCCPRole  = 2

	ctaProtoinfoSCTPState     = 1
	ctaProtoinfoSCTPVTagOrig  = 2
	ctaProtoinfoSCTPVTagReply = 3
)

// enum ctattr_counters, ctattr_tstamp, ctattr_nat, ctattr_protonat, ctattr_seqadj, ctattr_synproxy, ctattr_help.
const (
	ctaCountersPackets = 1
	ctaCountersBytes   = 2

	ctaTimestampStart = 1
	ctaTimestampStop  = 2

	ctaNatV4MinIP = 1
	ctaNatProto   = 3
	ctaNatV6MinIP = 4

	ctaProtonatPortMin = 1

	ctaSeqAdjCorrectionPos = 1
	ctaSeqAdjOffsetBefore  = 2
	ctaSeqAdjOffsetAfter   = 3

	ctaSynproxyISN   = 1
	ctaSynproxyITS   = 2
	ctaSynproxyTSOff = 3

	ctaHelpName = 1
)

// enum ctattr_stats_cpu.
const (
	ctaStatsFound         = 2
	ctaStatsInvalid       = 4
	ctaStatsInsert        = 8
	ctaStatsInsertFailed  = 9
	ctaStatsDrop          = 10
	ctaStatsEarlyDrop     = 11
	ctaStatsError         = 12
	ctaStatsSearchRestart = 13
	ctaStatsClashResolve  = 14
	ctaStatsChainTooLong  = 15
)
