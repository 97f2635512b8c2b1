// Prints the build tags of Tailscale's own browser client, as its release build takes them from its table of features.
//
// Without the tag `tailscale_go`, which needs Tailscale's fork of Go.
package main

import (
	"fmt"
	"slices"
	"strings"

	"tailscale.com/cmd/tsconnect/wasmbuild"
)

func main() {
	tags := slices.DeleteFunc(strings.Split(wasmbuild.Tags(), ","), func(tag string) bool {
		return tag == "tailscale_go"
	})
	fmt.Println(strings.Join(tags, ","))
}
