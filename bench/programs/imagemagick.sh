# imagemagick: an image made, blurred, turned, resized and reduced to few colours.
. "${0%/*}/common"
commands="convert identify"
packages=imagemagick

run()
{
	convert -seed 2011 -size "$(pick 200x150 1000x800)" plasma:red-blue -rotate 7 -blur 0x2 \
		-resize 80% -modulate 110,90 start.png
	convert start.png -colors 64 -negate -flop -crop 60%x60%+50+50 +repage end.png
	convert start.png end.png -gravity center -composite -format "%w %h %#\n" info:
	identify -format "%w %h %k %#\n" start.png end.png
}

main "$@"
