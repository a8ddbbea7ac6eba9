# ffmpeg: a film made, scaled, encoded and decoded again.
. "${0%/*}/common"
commands=ffmpeg
packages=ffmpeg

run()
{
	ffmpeg -v error -nostdin -y -f lavfi -i "testsrc2=size=$(pick 320x180 1280x720):rate=25:duration=$(pick 1 4)" \
		-vf "scale=iw*3/4:-2,eq=contrast=1.1" -threads 2 -c:v mpeg4 -q:v 5 -flags +bitexact -fflags +bitexact film.avi
	cksum film.avi
	ffmpeg -v error -nostdin -i film.avi -vf "hflip,boxblur=2" -threads 2 -f framemd5 - | cksum
}

main "$@"
