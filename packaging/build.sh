#!/bin/sh
# Builds the packages for Debian and for RPM systems, for amd64 and arm64, into dist/.
# GO, VERSION, COMMIT and NFPM are those of the Makefile. ARCHES="amd64" builds fewer,
# and DIST is where to.
# The same commit gives the same bytes.
set -eu
cd "$(dirname "$0")/.."
: "${GO:=go}" "${VERSION:=$(git describe --tags --always --dirty 2>/dev/null || echo dev)}" "${COMMIT=}" "${ARCHES:=amd64 arm64}"
: "${NFPM:?names the program nfpm; make packages sets it}"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH CGO_ENABLED=0 LC_ALL=C

# v1.2.3 is 1.2.3, v1.2.3-4-gabc is 1.2.3+4.gabc; what has no tag is older than any version.
case $VERSION in
v[0-9]*) PACKAGE_VERSION=$(echo "${VERSION#v}" | sed -e 's/-\([0-9]*-g\)/+\1/' -e 's/-\(alpha\|beta\|rc\)/~\1/' -e 's/-/./g') ;;
*) PACKAGE_VERSION=0~$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d.%H%M%S).$(echo "$VERSION" | tr -c 'A-Za-z0-9\n' .) ;;
esac
export PACKAGE_VERSION

dist=${DIST:-dist}
stage=dist/stage
rm -rf $stage
mkdir -p $stage/man "$dist"

host=$stage/jetstream-host
$GO build -trimpath -o $host ./cmd/jetstream
for shell in bash zsh fish; do $host completion $shell >$stage/completion.$shell; done
rm $host

gzip -9n <CHANGELOG.md >$stage/changelog.gz
gzip -9n >$stage/changelog.Debian.gz <<END
jetstream ($PACKAGE_VERSION-1) unstable; urgency=medium

  * What is new stands in /usr/share/doc/jetstream/changelog.gz.

 -- $(sed -n 's/^maintainer: //p' packaging/nfpm.yaml)  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END

GOOS=linux GOARCH=amd64 $GO list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/jetstream | sort -u |
	while read -r module version dir; do
		printf '==== %s %s\n\n' "$module" "$version"
		found=
		for file in "$dir"/LICEN[CS]E* "$dir"/COPYING* "$dir"/NOTICE*; do
			[ -f "$file" ] || continue
			cat "$file"
			echo
			found=1
		done
		[ "$found" ] || { echo "$module has no licence file" >&2; exit 1; }
	done >$stage/third-party-licences
gzip -9n $stage/third-party-licences

cp packaging/nfpm.yaml $stage/nfpm.yaml
for page in docs/man/*.[1-8]; do
	[ -e "$page" ] || continue
	name=$(basename "$page")
	gzip -9n <"$page" >"$stage/man/$name.gz"
	echo "  - {src: $stage/man/$name.gz, dst: /usr/share/man/man${page##*.}/$name.gz, file_info: {mode: 0644}}" >>$stage/nfpm.yaml
done

for ARCH in $ARCHES; do
	export ARCH
	GOOS=linux GOARCH=$ARCH $GO build -trimpath -ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" \
		-o $stage/jetstream ./cmd/jetstream
	for kind in deb rpm; do "$NFPM" package --config $stage/nfpm.yaml --packager $kind --target "$dist"; done
done
rm -r $stage
