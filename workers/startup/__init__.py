"""What a studio needs before it can begin: an address to listen on, and a folder to keep its files in."""
