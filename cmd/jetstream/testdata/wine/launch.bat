@echo off
echo JetStream server Launched on port %1 >> log.txt
