# fish completion of ctsync-exporter
complete -c ctsync-exporter -f
complete -c ctsync-exporter -l web.listen-address -x -a 127.0.0.1:9780 -d 'Serve at this address'
complete -c ctsync-exporter -l web.config.file -r -F -d 'Web configuration with TLS and users'
complete -c ctsync-exporter -l socket -r -F -d 'Control socket of ctsyncd'
complete -c ctsync-exporter -l version -d 'Print the version and exit'
complete -c ctsync-exporter -l help -d 'Print the usage and exit'
